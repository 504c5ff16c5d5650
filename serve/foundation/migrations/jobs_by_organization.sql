-- For what concerns the jobs of one organization: removing them with it, and recalling those that were put off for others.
-- Writes wait while it is made, which is not for long: jobs that are finished go after a day.
CREATE INDEX jobs_of_organization ON jobs (organization_id, feed_at) WHERE organization_id IS NOT NULL;
