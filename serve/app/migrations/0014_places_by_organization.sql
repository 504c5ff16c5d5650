-- Of the tables in which organizations have rows this alone had no index for removing them.
CREATE INDEX token_places_of_organization ON token_places (organization_id);
