-- When the mail server refused an invitation's letter for good, because of the address.
ALTER TABLE invitations ADD COLUMN undeliverable_at timestamptz;
-- grants
GRANT UPDATE (undeliverable_at) ON invitations TO :serving_role;
