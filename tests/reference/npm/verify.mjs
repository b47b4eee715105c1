// Checks a repository with the official library: signature, tree, every record.
// Usage: node verify.mjs DID DID_KEY CAR_FILE. Prints the rev and the CID of each record as JSON.
import { readFile } from 'node:fs/promises'
import { verifyRepoCar } from '@atproto/repo'

const [did, key, file] = process.argv.slice(2)
const repo = await verifyRepoCar(await readFile(file), did, key)
const records = repo.creates.map(({ collection, rkey, cid }) => [`${collection}/${rkey}`, `${cid}`])
console.log(JSON.stringify({ rev: repo.commit.rev, records: Object.fromEntries(records) }))
