// GET /api/v1/tasks/:id, GET /api/v1/tasks, POST /api/v1/tasks

import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import { Type } from '@fastify/type-provider-typebox'

import { inTransaction } from './database.js'
import { Refused } from './tokens.js'
import { perform } from './write.js'

const Nullable = (type) => Type.Union([type, Type.Null()])
const State = Type.Union([Type.Literal('open'), Type.Literal('started'), Type.Literal('done')])
const Task = Type.Object({
  id: Type.String({ format: 'uuid' }),
  project_id: Type.String({ format: 'uuid' }),
  title: Type.String(),
  description: Type.String(),
  state: Type.String(),
  due_on: Nullable(Type.String()),
  version: Type.Integer(),
  created_at: Type.String({ format: 'date-time' }),
  created_by: Type.String({ format: 'uuid' }),
  updated_at: Type.String({ format: 'date-time' }),
  deleted_at: Nullable(Type.String({ format: 'date-time' }))
})
const Page = Type.Object({ items: Type.Array(Task), next_cursor: Nullable(Type.String()) })
const NewTask = Type.Object(
  {
    project_id: Type.String({ format: 'uuid' }),
    title: Type.String({ minLength: 1, maxLength: 200 }),
    description: Type.String({ maxLength: 10_000, default: '' }),
    state: Type.Unsafe({ ...State, default: 'open' }),
    due_on: Type.Optional(Nullable(Type.String({ format: 'date' })))
  },
  { additionalProperties: false }
)

const COLUMNS =
  'id, project_id, title, description, state, due_on, version, created_at, created_by, updated_at, deleted_at'
const FIND = { name: 'find-task', text: `SELECT ${COLUMNS} FROM tasks WHERE organization_id = $1 AND id = $2` }
const LIST = {
  name: 'list-tasks',
  text: `SELECT ${COLUMNS} FROM tasks WHERE organization_id = $1 AND deleted_at IS NULL
         ORDER BY created_at, id LIMIT $2`
}
const LIST_AFTER = {
  name: 'list-tasks-after',
  text: `SELECT ${COLUMNS} FROM tasks WHERE organization_id = $1 AND deleted_at IS NULL
         AND (created_at, id) > ($3, $4) ORDER BY created_at, id LIMIT $2`
}
const INSERT = {
  name: 'insert-task',
  text: `INSERT INTO tasks (id, organization_id, project_id, title, description, state, due_on, created_at, created_by,
                            updated_at)
         SELECT $1, organization_id, id, $4, $5, $6, $7, $8, $9, $8 FROM projects
         WHERE organization_id = $2 AND id = $3 AND deleted_at IS NULL RETURNING ${COLUMNS}`
}

export async function tasks(app) {
  const cursorKey = randomBytes(32)
  const sign = (text) => createHmac('sha256', cursorKey).update(text).digest('base64url')
  const seal = (organization, { created_at, id }) => {
    const position = `${created_at.toISOString()} ${id}`
    return `${Buffer.from(position).toString('base64url')}.${sign(`${organization} ${position}`)}`
  }
  const open = (organization, cursor) => {
    const [encoded, signature] = cursor.split('.')
    const position = Buffer.from(encoded, 'base64url').toString()
    if (sign(`${organization} ${position}`) !== signature) throw new Refused(400, 'The cursor is not ours.')
    return position.split(' ')
  }
  const security = [{ token: [] }]

  app.get(
    '/:id',
    {
      schema: {
        security,
        params: Type.Object({ id: Type.String({ format: 'uuid' }) }),
        response: { 200: Task }
      },
      onRequest: app.authenticate('tasks:read')
    },
    async ({ agent, params, headers }, reply) => {
      const { rows } = await inTransaction(app.pool, agent.organization, (client) =>
        client.query({ ...FIND, values: [agent.organization, params.id] })
      )
      if (rows.length === 0) throw new Refused(404, 'There is no such task.')
      const tag = `"v${rows[0].version}"`
      reply.header('etag', tag)
      return headers['if-none-match'] === tag ? reply.code(304).send() : rows[0]
    }
  )

  app.get(
    '/',
    {
      schema: {
        security,
        querystring: Type.Object({
          limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
          cursor: Type.Optional(Type.String())
        }),
        response: { 200: Page }
      },
      onRequest: app.authenticate('tasks:read')
    },
    async ({ agent, query: { limit, cursor } }, reply) => {
      const { organization } = agent
      const after = cursor && open(organization, cursor)
      const statement = after
        ? { ...LIST_AFTER, values: [organization, limit + 1, ...after] }
        : { ...LIST, values: [organization, limit + 1] }
      const { rows } = await inTransaction(app.pool, organization, (client) => client.query(statement))
      const items = rows.slice(0, limit)
      const next_cursor = rows.length > limit ? seal(organization, items.at(-1)) : null
      if (next_cursor) reply.header('link', `</api/v1/tasks?limit=${limit}&cursor=${next_cursor}>; rel="next"`)
      return { items, next_cursor }
    }
  )

  app.post(
    '/',
    {
      schema: { security, body: NewTask, response: { 201: Task } },
      onRequest: app.authenticate('tasks:write')
    },
    async (request, reply) =>
      perform(app.pool, request, reply, async (client) => {
        const { agent, body } = request
        const now = new Date()
        const values = [randomUUID(), agent.organization, body.project_id, body.title, body.description, body.state]
        const { rows } = await client.query({
          ...INSERT,
          values: [...values, body.due_on ?? null, now, agent.id]
        })
        if (rows.length === 0) throw new Refused(404, 'There is no such project.')
        const [task] = rows
        const { id, project_id, title, state, version } = task
        return {
          status: 201,
          headers: { etag: `"v${version}"`, location: `/api/v1/tasks/${id}` },
          body: task,
          audit: {
            action: 'task.create',
            kind: 'task',
            id,
            changes: { project_id: [null, project_id], title: [null, title], state: [null, state] }
          },
          event: { type: 'task.created', timestamp: now, data: { id, project_id, title, state, version } }
        }
      })
  )
}
