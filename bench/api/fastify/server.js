// Tasks on Fastify: the peer of bench/api. README.md beside this folder says what it does and what it leaves out.

import Fastify from 'fastify'
import swagger from '@fastify/swagger'

import { openPool } from './database.js'
import { authenticator } from './tokens.js'
import { tasks } from './tasks.js'

const app = Fastify({ logger: true, trustProxy: '127.0.0.1' })

await app.register(swagger, {
  openapi: {
    openapi: '3.1.0',
    info: { title: 'Tasks', version: '1.0.0' },
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } }
  }
})

app.setErrorHandler((error, request, reply) => {
  const status = error.statusCode ?? 500
  if (status >= 500) request.log.error(error)
  reply.code(status).type('application/problem+json').send({
    type: 'about:blank',
    title: status >= 500 ? 'Internal Server Error' : error.message,
    status,
    instance: request.url
  })
})

const pool = openPool(app.log)
app.decorate('pool', pool)
app.decorateRequest('agent', null)
app.decorate('authenticate', authenticator(pool))
app.addHook('onClose', () => pool.end())

app.get('/livez', { logLevel: 'warn' }, async () => ({ status: 'ok' }))
app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
await app.register(tasks, { prefix: '/api/v1/tasks' })

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close())
