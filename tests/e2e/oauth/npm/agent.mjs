// What the official app does with a password and second factors, by the client that it is made with.
import { AtpAgent, ComAtprotoServerCreateSession } from '@atproto/api'
import { obey } from './orders.mjs'

const { pds } = JSON.parse(process.argv[2])
const agent = new AtpAgent({ service: pds })
const { server } = agent.com.atproto

await obey({
  // The app asks for a code when it is told this error, and no other.
  logIn: async (options) => {
    try {
      await agent.login(options)
    } catch (err) {
      if (!(err instanceof ComAtprotoServerCreateSession.AuthFactorTokenRequiredError)) throw err
      return { asksForCode: true }
    }
    return { asksForCode: false, session: agent.session }
  },
  confirm: async ({ token }) => {
    await server.confirmEmail({ email: agent.session.email, token })
    return {}
  },
  askForConfirmation: async () => (await server.requestEmailConfirmation()).data ?? {},
  askForLeave: async () => (await server.requestEmailUpdate()).data,
  // The switch in the app's settings. The app reads its session again to show it.
  turn: async ({ on, token }) => {
    await server.updateEmail({ email: agent.session.email, token, emailAuthFactor: on })
    await agent.resumeSession(agent.session)
    return agent.session
  },
})
