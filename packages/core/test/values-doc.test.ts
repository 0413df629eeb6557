// docs/values.md is made from the table that the codec is tested against: `npx vitest run --project core values-doc -u` writes it anew.
import { expect, test } from 'vitest'
import { refusals, survivals } from './codec-survival.js'

test('docs/values.md says what the codec is tested to do', async () => {
  const rows = survivals.map(({ what, note, changed }) => {
    const outcome = changed === undefined ? 'arrives as it was' : 'arrives changed'
    return `| ${what} | ${outcome} | ${note ?? ''} |`
  })
  const refused = refusals.map(
    ({ what, message }) => `| ${what} | ${message.replaceAll('|', '\\|')} |`,
  )
  const page = `# Values

What becomes of a value on its way to another process. Input and output of procedures, stream values, publications, and the data of
declared errors all travel in the same way. Two things hold for every value:

- It is a **copy**, taken when the call is made. What you change afterwards stays here.
- The schema sees it **after** the trip: a class instance has become a plain object by then.

| value | | |
|---|---|---|
${rows.join('\n')}

The same object in two places of a value becomes two objects. A value may be nested 1000 levels deep.

## What can't be sent

The call fails with \`INVALID_VALUE\` before anything leaves; the message says where in the value it stands.

| value | message |
|---|---|
${refused.join('\n')}

A message that is larger than a frame may be (16 MiB unless \`maxFrameBytes\` says otherwise) fails with \`FRAME_TOO_LARGE\`: send it as a stream.
`
  await expect(page).toMatchFileSnapshot('../../../docs/values.md')
})
