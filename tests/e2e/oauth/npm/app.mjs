// An app on a server that signs people in with the official client, and does what lines of JSON on
// its input order; each answer is a line, too.
import {
  atprotoLoopbackClientMetadata,
  JoseKey,
  NodeOAuthClient,
  requestLocalLock,
} from '@atproto/oauth-client-node'
import { obey } from './orders.mjs'

const { pds, plc, metadata, confidential } = JSON.parse(process.argv[2])

// What an app keeps in its database.
const table = () => {
  const rows = new Map()
  return {
    get: async (key) => rows.get(key),
    set: async (key, value) => void rows.set(key, structuredClone(value)),
    del: async (key) => void rows.delete(key),
  }
}

const client = new NodeOAuthClient({
  clientMetadata: typeof metadata === 'string' ? atprotoLoopbackClientMetadata(metadata) : metadata,
  keyset: confidential ? [await JoseKey.generate(['ES256'], 'key-1')] : undefined,
  handleResolver: pds,
  plcDirectoryUrl: plc,
  allowHttp: true,
  requestLock: requestLocalLock,
  stateStore: table(),
  sessionStore: table(),
})

await obey({
  documents: async () => ({ metadata: client.clientMetadata, jwks: client.jwks }),
  authorize: async ({ input, options }) => ({ url: (await client.authorize(input, options)).href }),
  callback: async ({ query }) => {
    const { session, state } = await client.callback(new URLSearchParams(query))
    return { did: session.did, state }
  },
  tokens: async ({ did, refresh }) => {
    const session = await client.restore(did, refresh)
    return session.getTokenInfo(false)
  },
  call: async ({ did, method, path, body }) => {
    const session = await client.restore(did, false)
    const response = await session.fetchHandler(path, {
      method,
      ...(body && {
        body: JSON.stringify(body),
        headers: { 'Content-Type': 'application/json' },
      }),
    })
    return { status: response.status, body: await response.json().catch(() => null) }
  },
  end: async ({ did }) => {
    await client.revoke(did)
    return {}
  },
})
