/**
 * Entry point of the Xboard stand-in's container (see server.ts for what it stands for). Environment:
 *
 * | variable | meaning | default |
 * |---|---|---|
 * | `PANEL_TOKEN` | the nodes' one token; from a Secret | required |
 * | `PANEL_NODES` | node ids that exist, separated by commas | required |
 * | `PANEL_USERS` | length of the user list | 200 |
 * | `PORT` | port of the panel | 8080 |
 * | `CONTROL_PORT` | port of the control API | 8081 |
 */
import { startXboard } from "./server";

async function main(): Promise<void> {
  const problems: string[] = [];
  const required = (name: string) => {
    const value = process.env[name] ?? "";
    if (value === "") problems.push(`${name}: must be set`);
    return value;
  };
  const integer = (name: string, usual: number, most: number) => {
    const text = process.env[name] ?? String(usual);
    const value = Number(text);
    if (!/^\d+$/.test(text) || value > most)
      problems.push(`${name}: must be an integer from 0 to ${most}; got "${text}"`);
    return value;
  };
  const options = {
    token: required("PANEL_TOKEN"),
    nodeIds: required("PANEL_NODES").split(","),
    users: integer("PANEL_USERS", 200, 100_000),
    port: integer("PORT", 8080, 65_535),
    controlPort: integer("CONTROL_PORT", 8081, 65_535),
  };
  if (problems.length > 0) {
    console.error(`The Xboard stand-in cannot start:\n  ${problems.join("\n  ")}\nSet them in its Pod.`);
    process.exitCode = 1;
    return;
  }
  const xboard = await startXboard(options);
  console.log(
    `Xboard stand-in: panel on ${xboard.port}, control on ${xboard.controlPort}, ${options.users} users`,
  );
  const stop = () => void xboard.close().then(() => process.exit(0));
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}

main().catch((error: unknown) => {
  console.error(
    `The Xboard stand-in cannot start: ${error instanceof Error ? error.message : String(error)}`,
  );
  process.exitCode = 1;
});
