-- With which provider the person had signed in. It outlives the session, so that what a provider's identity opened can end
-- with it. What the previous version writes meanwhile says nothing, and ends with any.
ALTER TABLE grants ADD COLUMN provider text CHECK (length(provider) <= 64);
UPDATE grants SET provider = browser_sessions.provider FROM browser_sessions WHERE browser_sessions.id = session_id;
-- What has ended stays as long as its session, which says by it whom to tell.
CREATE INDEX grants_over ON grants (ended_at) WHERE ended_at IS NOT NULL AND session_id IS NULL;
