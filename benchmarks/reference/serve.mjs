// Starts the reference PDS from its own PDS_* variables, as an operator would, with a PLC directory
// in memory beside it (PLC_PORT). Ends on SIGTERM.
import { PDS, readEnv } from '@atproto/pds'
import { Database, PlcServer } from '@did-plc/server'

const directory = PlcServer.create({
  db: Database.mock(),
  port: Number.parseInt(process.env.PLC_PORT, 10),
})
await directory.start()

const server = await PDS.fromEnv(readEnv())
await server.start()

process.once('SIGTERM', async () => {
  await server.destroy()
  await directory.destroy()
})
