export { settle, TestClock } from './clock.js'
export { createMemoryMesh, type MemoryMesh, type MeshOptions, type MeshPeer } from './mesh.js'
