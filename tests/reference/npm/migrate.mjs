// Moves an account to another server with the official client, as a migration tool does.
// Variables: OLD, NEW (URLs), NEW_DID (the new server's), DID, PASSWORD, HANDLE (at the new server).
// Asks for the code of the old server's mail with a line "code?" and reads it from standard input.
// Ends with what the new server said of the account, as one line of JSON.
import readline from 'node:readline/promises'
import { AtpAgent } from '@atproto/api'

const { OLD, NEW, NEW_DID, DID, PASSWORD, HANDLE } = process.env
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()

const old = new AtpAgent({ service: OLD })
await old.login({ identifier: DID, password: PASSWORD })

// The account at the new server, which the DID's owner asks for.
const created = await old.com.atproto.server.getServiceAuth({
  aud: NEW_DID,
  lxm: 'com.atproto.server.createAccount',
})
const next = new AtpAgent({ service: NEW })
await next.com.atproto.server.createAccount(
  { handle: HANDLE, email: `moved-${Date.now()}@example.com`, password: PASSWORD, did: DID },
  { headers: { authorization: `Bearer ${created.data.token}` }, encoding: 'application/json' },
)
await next.login({ identifier: HANDLE, password: PASSWORD })

// Records, then the blobs that they refer to, then preferences.
const repo = await old.com.atproto.sync.getRepo({ did: DID })
await next.com.atproto.repo.importRepo(repo.data, { encoding: 'application/vnd.ipld.car' })
const imported = (await next.com.atproto.server.checkAccountStatus()).data
let cursor
do {
  const missing = await next.com.atproto.repo.listMissingBlobs({ cursor, limit: 2 })
  cursor = missing.data.cursor
  for (const { cid } of missing.data.blobs) {
    const blob = await old.com.atproto.sync.getBlob({ did: DID, cid })
    await next.com.atproto.repo.uploadBlob(blob.data, { encoding: blob.headers['content-type'] })
  }
} while (cursor)
const preferences = await old.app.bsky.actor.getPreferences()
await next.app.bsky.actor.putPreferences(preferences.data)

// The DID, with the old server's signature, which its user has to confirm by mail.
await old.com.atproto.identity.requestPlcOperationSignature()
console.log('code?')
const token = (await lines.next()).value.trim()
const credentials = (await next.com.atproto.identity.getRecommendedDidCredentials()).data
const signed = await old.com.atproto.identity.signPlcOperation({ token, ...credentials })
await next.com.atproto.identity.submitPlcOperation({ operation: signed.data.operation })

const ready = (await next.com.atproto.server.checkAccountStatus()).data
await next.com.atproto.server.activateAccount()
await old.com.atproto.server.deactivateAccount({})
const active = (await next.com.atproto.server.checkAccountStatus()).data
console.log(JSON.stringify({ imported, ready, active }))
process.exit(0)
