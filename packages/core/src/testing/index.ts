export { createMemoryMesh, type MemoryMesh, type MeshOptions, type MeshPeer } from './mesh.js'
