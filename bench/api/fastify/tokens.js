// Agents by their bearer tokens: by the database, or by what it said less than a second ago.

import { hash } from 'node:crypto'

const FIND = {
  name: 'find-token',
  text: `SELECT id, organization_id, agent_id, scopes, expires_at, revoked FROM authenticate_token($1)`
}
const REMEMBERED = 1000
const MOST_REMEMBERED = 10_000

export class Refused extends Error {
  constructor(statusCode, message) {
    super(message)
    this.statusCode = statusCode
  }
}

// A hook that puts the agent on the request, if its token has the scope.
export function authenticator(pool) {
  const known = new Map()

  async function find(digest) {
    const now = Date.now()
    const found = known.get(digest)
    if (found && now - found.askedAt < REMEMBERED) return found
    const { rows } = await pool.query({ ...FIND, values: [Buffer.from(digest, 'hex')] })
    if (rows.length === 0 || rows[0].revoked) throw new Refused(401, 'The token is not known.')
    const [row] = rows
    const agent = {
      id: row.agent_id,
      tokenId: row.id,
      organization: row.organization_id,
      scopes: new Set(row.scopes),
      expiresAt: row.expires_at.getTime(),
      askedAt: now
    }
    if (known.size >= MOST_REMEMBERED) known.clear()
    known.set(digest, agent)
    return agent
  }

  return (scope) => async (request) => {
    const header = request.headers.authorization
    if (!header?.startsWith('Bearer ')) throw new Refused(401, 'A bearer token is needed.')
    const agent = await find(hash('sha256', header.slice(7)))
    if (agent.expiresAt <= Date.now()) throw new Refused(401, 'The token has expired.')
    if (!agent.scopes.has(scope)) throw new Refused(403, `The token lacks the scope ${scope}.`)
    request.agent = agent
  }
}
