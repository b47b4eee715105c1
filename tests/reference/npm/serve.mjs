// Starts the reference PDS from its own PDS_* variables, as an operator would. With PLC_PORT a PLC
// directory in memory stands beside it. Ends on SIGTERM.
import { PDS, readEnv } from '@atproto/pds'
import { Database, PlcServer } from '@did-plc/server'

const directoryPort = Number.parseInt(process.env.PLC_PORT ?? '', 10)
const directory = directoryPort
  ? PlcServer.create({ db: Database.mock(), port: directoryPort })
  : undefined
await directory?.start()

const server = await PDS.fromEnv(readEnv())
await server.start()

process.once('SIGTERM', async () => {
  await server.destroy()
  await directory?.destroy()
})
