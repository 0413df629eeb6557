export type {
  Contract,
  ErrorSchemas,
  Member,
  Members,
  Named,
  Procedure,
  Stream,
  Topic,
} from './contract.js'
export { contract, DEFAULT_TIMEOUT, procedure, stream, topic } from './contract.js'
export * from './errors.js'
export type {
  CallerInput,
  CallerOutput,
  CallOptions,
  Client,
  ErrorMakers,
  ErrorsOf,
  GatherClient,
  GatherOptions,
  HandlerContext,
  HandlerInput,
  HandlerOutput,
  Handlers,
  Outcome,
  PeerInfo,
  ProcedureHandler,
  PublishedValue,
  Receipt,
  ReceivedValue,
  StreamHandler,
  Uploadable,
  UploadCall,
} from './infer.js'
export type { AnySchema, InputOf, OutputOf, Schema, SchemaIssue, SchemaResult } from './schema.js'
