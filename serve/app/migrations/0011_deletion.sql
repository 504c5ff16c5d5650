-- Deletion: what was deleted can be restored for a while, and is then removed, with all that belongs to it.

-- The one place that says how long.
CREATE FUNCTION restore_window() RETURNS interval
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT interval '30 days' $$;

-- When an organization was deleted is what the server's clock says, whatever the serving role writes: otherwise it could
-- end the window at once, and have audit events removed that it cannot delete. One whose window is over may be half
-- removed already, so it does not come back.
CREATE FUNCTION guard_deletion() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        IF TG_OP = 'INSERT' OR OLD.deleted_at IS NULL THEN
            IF NEW.deleted_at IS NOT NULL THEN
                NEW.deleted_at := now();
            END IF;
        ELSIF NEW.deleted_at IS NOT NULL THEN
            NEW.deleted_at := OLD.deleted_at;
        ELSIF OLD.deleted_at < now() - public.restore_window() THEN
            RAISE EXCEPTION 'organization % was deleted too long ago to be restored', OLD.id;
        END IF;
        RETURN NEW;
    END $$;
CREATE TRIGGER guard_deletion BEFORE INSERT OR UPDATE ON organizations
    FOR EACH ROW EXECUTE FUNCTION guard_deletion();
CREATE INDEX organizations_deleted ON organizations (deleted_at) WHERE deleted_at IS NOT NULL;

-- Tokens of an organization that was deleted are good for nothing until it is restored.
CREATE OR REPLACE FUNCTION organization_is_active(wanted uuid) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT EXISTS (SELECT FROM public.organizations o WHERE o.id = wanted AND o.deleted_at IS NULL) $$;

-- Since when a person belongs to no organization.
ALTER TABLE people ADD COLUMN left_at timestamptz;
CREATE FUNCTION note_leaving() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        UPDATE public.people p SET left_at = now()
        WHERE p.id = OLD.person_id AND NOT EXISTS (SELECT FROM public.memberships m WHERE m.person_id = p.id);
        RETURN NULL;
    END $$;
CREATE TRIGGER note_leaving AFTER DELETE ON memberships FOR EACH ROW EXECUTE FUNCTION note_leaving();

-- For reading all of an organization's rows in an order, and for removing them.
CREATE INDEX webhook_secrets_of_organization ON webhook_secrets (organization_id);
CREATE INDEX webhook_messages_by_time ON webhook_messages (organization_id, created_at, id);
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (organization_id, created_at, id);
CREATE INDEX webhook_attempts_of_organization ON webhook_attempts (organization_id, id);

-- The tables in which organizations have rows, those that refer to others of them first: what is removed in this order
-- takes nothing else with it. Jobs come last: they alone have no index by organization.
CREATE FUNCTION tables_of_organizations() RETURNS SETOF regclass
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
        WITH RECURSIVE tenant (id) AS (
            SELECT c.oid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                AND a.attname = 'organization_id' AND NOT a.attisdropped),
        placed (id, depth) AS (
            SELECT id, 0 FROM tenant
            UNION ALL
            SELECT f.conrelid, placed.depth + 1
            FROM placed JOIN pg_constraint f ON f.contype = 'f' AND f.confrelid = placed.id AND f.conrelid <> placed.id
                JOIN tenant ON tenant.id = f.conrelid
            WHERE placed.depth < 20)
        SELECT id::regclass FROM placed GROUP BY id
        ORDER BY max(depth) DESC, id = 'public.jobs'::regclass, id
    $$;

-- Removes rows of an organization whose window is over, in any table that has some; the organization itself with the last
-- of them, and with an event that says so. At most so many rows at once: it is called until nothing is left to remove.
-- It chooses the organization by itself, and with its owner's rights: the serving role can delete hardly any of this.
CREATE FUNCTION purge_organizations(most integer, request text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        gone uuid;
        part regclass;
        removed integer := 0;
        deleted integer;
        before text := coalesce(current_setting('app.organization', true), '');
    BEGIN
        SELECT o.id INTO gone FROM public.organizations o WHERE o.deleted_at < now() - public.restore_window()
            ORDER BY o.deleted_at LIMIT 1 FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN 0;
        END IF;
        -- Nobody seals meanwhile what is being removed.
        PERFORM pg_advisory_xact_lock(hashtextextended('audit-seal:' || gone::text, 0));
        DELETE FROM public.idempotency_keys k USING public.agents a
            WHERE a.organization_id = gone AND k.caller = 'agent:' || a.id::text;
        -- The policies of some tables hold for their owner as well.
        PERFORM set_config('app.organization', gone::text, true);
        FOR part IN SELECT public.tables_of_organizations() LOOP
            EXECUTE format('DELETE FROM %1$s WHERE ctid = ANY (ARRAY('
                'SELECT ctid FROM %1$s WHERE organization_id = $1 LIMIT $2))', part) USING gone, most - removed;
            GET DIAGNOSTICS deleted = ROW_COUNT;
            removed := removed + deleted;
            EXIT WHEN removed >= most;
        END LOOP;
        PERFORM set_config('app.organization', before, true);
        IF removed < most THEN
            DELETE FROM public.organizations o WHERE o.id = gone;
            removed := removed + 1;
            PERFORM public.note_purge('organization', gone, '00000000-0000-0000-0000-000000000000', request);
        END IF;
        RETURN removed;
    END $$;

-- Removes projects and tasks that were deleted before the window, at most so many at once.
CREATE FUNCTION purge_projects_and_tasks(most integer, request text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        bound timestamptz := now() - public.restore_window();
        gone uuid;
        organization uuid;
        removed integer := 0;
    BEGIN
        FOR gone, organization IN
            DELETE FROM public.tasks t WHERE t.id IN (
                SELECT id FROM public.tasks WHERE deleted_at < bound LIMIT most FOR UPDATE SKIP LOCKED)
            RETURNING t.id, t.organization_id
        LOOP
            PERFORM public.note_purge('task', gone, organization, request);
            removed := removed + 1;
        END LOOP;
        -- Tasks that go with their project first, so that removing that takes nothing more with it.
        IF removed < most THEN
            FOR gone, organization IN
                DELETE FROM public.tasks t WHERE t.id IN (
                    SELECT own.id FROM public.tasks own JOIN public.projects p ON p.id = own.project_id
                    WHERE p.deleted_at < bound LIMIT most - removed FOR UPDATE OF own SKIP LOCKED)
                RETURNING t.id, t.organization_id
            LOOP
                PERFORM public.note_purge('task', gone, organization, request);
                removed := removed + 1;
            END LOOP;
        END IF;
        IF removed < most THEN
            FOR gone, organization IN
                DELETE FROM public.projects p WHERE p.id IN (
                    SELECT id FROM public.projects WHERE deleted_at < bound AND NOT EXISTS (
                        SELECT FROM public.tasks WHERE project_id = projects.id)
                    LIMIT most - removed FOR UPDATE SKIP LOCKED)
                RETURNING p.id, p.organization_id
            LOOP
                PERFORM public.note_purge('project', gone, organization, request);
                removed := removed + 1;
            END LOOP;
        END IF;
        RETURN removed;
    END $$;

-- Removes people who have been in no organization, and have not signed in, for as long as the window.
CREATE FUNCTION purge_people(most integer, request text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    DECLARE
        gone uuid;
        removed integer := 0;
    BEGIN
        FOR gone IN
            DELETE FROM public.people p WHERE p.id IN (
                SELECT id FROM public.people
                WHERE greatest(updated_at, left_at) < now() - public.restore_window()
                    AND NOT EXISTS (SELECT FROM public.memberships m WHERE m.person_id = people.id)
                LIMIT most FOR UPDATE SKIP LOCKED)
            RETURNING p.id
        LOOP
            PERFORM public.note_purge('person', gone, '00000000-0000-0000-0000-000000000000', request);
            removed := removed + 1;
        END LOOP;
        RETURN removed;
    END $$;

-- The trace that every removal leaves, whoever called for it.
CREATE FUNCTION note_purge(kind text, gone uuid, organization uuid, request text) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp
    AS $$
        INSERT INTO public.audit_events
            (id, organization_id, occurred_at, actor_kind, request_id, action, resource_kind, resource_id, result, changes)
        VALUES (gen_random_uuid(), organization, now(), 'system', request, kind || '.purge', kind, gone::text, 'success', '{}')
    $$;

REVOKE ALL ON FUNCTION restore_window(), guard_deletion(), note_leaving(), tables_of_organizations(),
    note_purge(text, uuid, uuid, text), purge_organizations(integer, text), purge_projects_and_tasks(integer, text),
    purge_people(integer, text) FROM PUBLIC;

-- grants
GRANT EXECUTE ON FUNCTION restore_window(), tables_of_organizations(), purge_organizations(integer, text),
    purge_projects_and_tasks(integer, text), purge_people(integer, text) TO :serving_role;
