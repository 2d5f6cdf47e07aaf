/** What one sender, or all together, may take of the OTLP port, and why so much. A gateway needs a tenth of it. */
export const limits = {
  /** Connections at one time. A gateway has one per worker; beyond that, who was idle for longest has to go. */
  connections: 1_024,
  /** Calls at one time on one connection. Envoy has one or two under way for each worker. */
  concurrentStreams: 128,
  /** Bytes of a call's headers. Envoy's have some hundred. */
  headerBytes: 16 * 1024,
  /** Mebibytes that the HTTP/2 layer may hold for one connection: messages under way and answers not yet taken. */
  sessionMemoryMebibytes: 64,
  /** Bytes of messages that have begun and not ended, over all connections; beyond that, the oldest call has to go. */
  heldBytes: 64 * 1024 * 1024,
  /** How long a new connection may take to bring its first whole message, in milliseconds. Envoy connects when it has one. */
  firstMessageMilliseconds: 10_000,
  /** How long a call may take to send its message. Envoy's batches take a millisecond. */
  callMilliseconds: 30_000,
  /** How often a connection is asked whether its other end is still there, and how long it may take to answer. */
  keepaliveMilliseconds: 60_000,
  keepaliveAnswerMilliseconds: 20_000,
} as const;
