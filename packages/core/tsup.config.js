import { packageBuild } from '../../tools/tsup.js'

export default packageBuild({
  index: 'src/index.ts',
  cluster: 'src/cluster/index.ts',
  testing: 'src/testing/index.ts',
  peer: 'src/peer-entry.ts',
})
