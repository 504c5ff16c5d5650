// PostgreSQL through PgBouncer in transaction mode: named statements, and the organization only within a transaction.

import { readFileSync } from 'node:fs'
import pg from 'pg'

// A date is a date, not a moment in this machine's time zone; a version is a number.
pg.types.setTypeParser(pg.types.builtins.DATE, (text) => text)
pg.types.setTypeParser(pg.types.builtins.INT8, Number)

export function openPool(log) {
  const url = new URL(process.env.DATABASE_URL)
  url.password = readFileSync(process.env.DATABASE_PASSWORD_FILE, 'utf8').trim()
  const pool = new pg.Pool({
    connectionString: url.href,
    ssl: { ca: readFileSync(process.env.PRIVATE_CA_FILE, 'utf8') },
    max: 16,
    idleTimeoutMillis: 0
  })
  pool.on('error', (error) => log.warn(error, 'an idle connection broke'))
  return pool
}

// Row-level security shows the rows of one organization. The setting ends with the transaction, and goes with its begin.
export async function inTransaction(pool, organization, work) {
  const client = await pool.connect()
  try {
    const setting = client.escapeLiteral(organization)
    await client.query(`BEGIN; SELECT set_config('app.organization', ${setting}, true)`)
    const result = await work(client)
    await client.query('COMMIT')
    client.release()
    return result
  } catch (error) {
    await client.query('ROLLBACK').then(() => client.release(), (broken) => client.release(broken))
    throw error
  }
}
