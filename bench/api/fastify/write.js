// One transaction a write: the effect, its audit event, its outbox row and the answer kept for its Idempotency-Key.

import { hash, randomUUID } from 'node:crypto'

import { inTransaction } from './database.js'
import { Refused } from './tokens.js'

const LOOK_UP = {
  name: 'look-up-key',
  text: `SELECT pg_try_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0)) AS free,
                kept.route, kept.fingerprint, kept.status, kept.headers, kept.body, kept.expires_at
         FROM (SELECT) AS one LEFT JOIN idempotency_keys AS kept ON kept.caller = $1 AND kept.key = $2`
}
const KEEP = {
  name: 'keep-answer',
  text: `INSERT INTO idempotency_keys (caller, key, route, fingerprint, status, headers, body, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, now() + interval '1 day')`
}
const AUDIT = {
  name: 'insert-audit-event',
  text: `INSERT INTO audit_events (id, organization_id, occurred_at, actor_kind, actor_id, token_id, address, user_agent,
                                   request_id, action, resource_kind, resource_id, result, changes)
         VALUES ($1, $2, now(), 'agent', $3, $4, $5, $6, $7, $8, $9, $10, 'success', $11)`
}
const OUTBOX = {
  name: 'insert-job',
  text: `INSERT INTO jobs (id, queue, kind, organization_id, payload, run_at, feed_at, max_attempts, request_id)
         VALUES ($1, 'default', 'webhook.dispatch', $2, $3, now(), now(), 10, $4)`
}

// Does the effect once for its key, and answers as it did for every request that repeats it.
export async function perform(pool, request, reply, effect) {
  const { agent } = request
  const key = request.headers['idempotency-key']?.replaceAll('"', '')
  const route = `${request.method} ${request.url}`
  const caller = `agent:${agent.id}`
  const fingerprint = key && Buffer.from(hash('sha256', JSON.stringify(request.body)), 'hex')

  const answer = await inTransaction(pool, agent.organization, async (client) => {
    if (key) {
      const { rows } = await client.query({ ...LOOK_UP, values: [caller, key] })
      const [kept] = rows
      if (kept.status !== null) return repeated(kept, route, fingerprint)
      if (!kept.free) throw new Refused(409, 'A request with this key is under way.')
    }
    const { status, headers, body, audit, event } = await effect(client)
    await client.query({
      ...AUDIT,
      values: [
        randomUUID(),
        agent.organization,
        agent.id,
        agent.tokenId,
        request.ip,
        request.headers['user-agent'],
        request.id,
        audit.action,
        audit.kind,
        audit.id,
        audit.changes
      ]
    })
    await client.query({ ...OUTBOX, values: [randomUUID(), agent.organization, event, request.id] })
    if (key) {
      const values = [caller, key, route, fingerprint, status, headers, Buffer.from(JSON.stringify(body))]
      await client.query({ ...KEEP, values })
    }
    return { status, headers, body }
  })
  return reply.code(answer.status).headers(answer.headers).send(answer.body)
}

function repeated(kept, route, fingerprint) {
  if (kept.route !== route || !kept.fingerprint.equals(fingerprint)) {
    throw new Refused(422, 'This key was used for another request.')
  }
  const headers = { ...kept.headers, 'idempotency-replayed': 'true' }
  return { status: kept.status, headers, body: JSON.parse(kept.body) }
}
