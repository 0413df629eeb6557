// Why a stream or a session of HTTP/2 is ended.

/**
 * Codes of RFC 9113, section 7, that the front uses. Node has them in `node:http2`, which only those with a server of it need to load.
 */
export const ResetCode = {
  noError: 0,
  internalError: 2,
} as const
