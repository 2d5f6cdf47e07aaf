// `@kubernetes/client-node` and its ESM-only dependencies are turned into CommonJS with the rest:
// Jest's module loader cannot require() ES modules.
const shared = {
  testEnvironment: "node",
  transform: {
    "^.+\\.[jt]s$": [
      "@swc/jest",
      { jsc: { parser: { syntax: "typescript" }, target: "es2023" }, module: { type: "commonjs" } },
    ],
  },
  transformIgnorePatterns: [
    "/node_modules/(?!(@kubernetes/client-node|openid-client|oauth4webapi|jose|jsonpath-plus|socks-proxy-agent|https-proxy-agent|http-proxy-agent|agent-base|hpagent|zod)/)",
  ],
  modulePathIgnorePatterns: ["<rootDir>/.parts", "<rootDir>/exporter/dist"],
};

/** @type {import("jest").Config} */
module.exports = {
  // Several tests bundle the exporter first, which takes seconds on a busy machine.
  testTimeout: 30_000,
  // Jest's default leaves a core idle: with two, the unit tests took 163 s instead of 88 s.
  maxWorkers: "100%",
  projects: [
    {
      ...shared,
      displayName: "unit",
      testMatch: ["<rootDir>/tests/**/*.test.ts"],
      testPathIgnorePatterns: ["/node_modules/", "/tests/mesh/"],
    },
    {
      ...shared,
      displayName: "mesh",
      testMatch: ["<rootDir>/tests/mesh/**/*.test.ts"],
      setupFilesAfterEnv: ["<rootDir>/tests/mesh/support/setup.ts"],
    },
  ],
};
