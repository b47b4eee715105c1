// Obeys lines of JSON on the input; each answer is a line, too.
import { createInterface } from 'node:readline'

export const obey = async (orders) => {
  for await (const line of createInterface({ input: process.stdin })) {
    const { order, ...more } = JSON.parse(line)
    const answer = await orders[order](more).catch((err) => ({
      error: err.constructor.name,
      message: [err.message, err.cause?.message].filter(Boolean).join(': '),
    }))
    console.log(JSON.stringify(answer))
  }
}
