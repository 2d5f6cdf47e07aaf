/** What one sender, or all together, may take of the OTLP port, and why so much. A gateway needs a tenth of it. */
export const limits = {
  /** Connections at one time. A gateway has one per worker; beyond that, who was idle for longest has to go. */
  connections: 1_024,
  /** Calls at one time on one connection. Envoy has one or two under way for each worker. */
  concurrentStreams: 128,
  /** Calls at one time over all connections, those whose answer was not taken too; beyond that, the oldest has to go. */
  calls: 4_096,
  /** Bytes of a call's headers. Envoy's have some hundred. */
  headerBytes: 16 * 1024,
  /** Number of a call's headers. Envoy sends ten to twenty. */
  headers: 64,
  /** Entries of one SETTINGS frame. HTTP/2 has seven, and clients make up one or two. */
  settingsPerFrame: 16,
  /** Frames against the protocol on one connection before it is ended. A client as it should be sends none. */
  invalidFrames: 100,
  /**
   * Calls over `concurrentStreams` on one connection before it is ended: as many as a client may send before it has
   * read how many are allowed.
   */
  rejectedStreams: 100,
  /**
   * Calls given up by the sender of one connection before it is ended: so many at once, and so many a second
   * (CVE-2023-44487). A gateway gives up a batch that takes longer than its time-out.
   */
  resets: { burst: 1_000, perSecond: 33 },
  /** How long a TLS client that does not speak HTTP/2 may stay, in milliseconds. */
  unknownProtocolMilliseconds: 1_000,
  /** Messages that are decompressed at one time; each may take the largest message's size. Envoy does not compress. */
  decompressions: 4,
  /** Mebibytes that the HTTP/2 layer may hold for one connection: messages under way and answers not yet taken. */
  sessionMemoryMebibytes: 64,
  /** Bytes of messages that have begun and not ended, over all connections; beyond that, the oldest call has to go. */
  heldBytes: 64 * 1024 * 1024,
  /** How long a new connection may take to bring its first whole message, in milliseconds. Envoy connects when it has one. */
  firstMessageMilliseconds: 10_000,
  /** How long a call may take, the answer's way included, in milliseconds. Envoy's batches take one. */
  callMilliseconds: 30_000,
  /** How often a connection is asked whether its other end is still there, and how long it may take to answer. */
  keepaliveMilliseconds: 60_000,
  keepaliveAnswerMilliseconds: 20_000,
} as const;
