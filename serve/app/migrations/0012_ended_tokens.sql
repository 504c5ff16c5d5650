-- Tokens that ended are removed when the window is over, as what was deleted is: a list of tokens does not grow without end.

-- At most so many at once, and with an event for each. One that minted others stays until those are gone: by it they are
-- found when it is revoked.
CREATE FUNCTION purge_tokens(most integer, request text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        bound timestamptz := now() - public.restore_window();
        gone uuid;
        organization uuid;
        removed integer := 0;
    BEGIN
        FOR gone, organization IN
            DELETE FROM public.tokens t WHERE t.id IN (
                SELECT ended.id FROM public.tokens ended
                WHERE least(ended.expires_at, ended.revoked_at) < bound
                    AND NOT EXISTS (SELECT FROM public.tokens child WHERE child.parent_id = ended.id)
                LIMIT most FOR UPDATE SKIP LOCKED)
            RETURNING t.id, t.organization_id
        LOOP
            PERFORM public.note_purge('token', gone, organization, request);
            removed := removed + 1;
        END LOOP;
        RETURN removed;
    END $$;
CREATE INDEX tokens_ended ON tokens (least(expires_at, revoked_at));
-- The policy of the organization holds for the owner as well.
CREATE POLICY tokens_purged_by_the_owner ON tokens FOR DELETE TO CURRENT_USER
    USING (least(expires_at, revoked_at) < now() - restore_window());

REVOKE ALL ON FUNCTION purge_tokens(integer, text) FROM PUBLIC;

-- grants
GRANT EXECUTE ON FUNCTION purge_tokens(integer, text) TO :serving_role;
