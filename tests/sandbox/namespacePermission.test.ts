/** The choice of namespaces and the words for a refusal; the kernel's answers are made up here. */
import { SandboxError } from "../../sandbox/error";
import { findNamespaceFlags } from "../../sandbox/namespace/permission";

const refused = () => "unshare: unshare failed: Operation not permitted";

describe("finding the namespaces that are permitted", () => {
  it("takes no user namespace for root", () => {
    expect(
      findNamespaceFlags(
        0,
        () => undefined,
        () => undefined,
      ),
    ).toEqual([...["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]]);
  });

  it("takes a user namespace for an ordinary user", () => {
    const flags = findNamespaceFlags(
      1001,
      () => undefined,
      () => undefined,
    );
    expect(flags.slice(0, 3)).toEqual(["--user", "--map-root-user", "--net"]);
  });

  it("takes a user namespace for a root without the capability", () => {
    const trial = (flags: readonly string[]) => (flags.includes("--user") ? undefined : refused());
    expect(findNamespaceFlags(0, trial, () => undefined)).toContain("--user");
  });

  it.each([
    [
      "kernel/apparmor_restrict_unprivileged_userns",
      "1",
      "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ],
    ["kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"],
    ["user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"],
    ["none", "", "docker: `--privileged`"],
  ])("says what was tried and how to allow it when %s is %s", (setting, value, remedy) => {
    const find = () => findNamespaceFlags(1001, refused, (name) => (name === setting ? value : undefined));
    expect(find).toThrow(SandboxError);
    expect(find).toThrow(/Tried `unshare --user .*`: unshare: unshare failed: Operation not permitted\. /);
    expect(find).toThrow(remedy);
  });

  it("tells root both attempts, and nothing of settings for ordinary users", () => {
    const find = () => findNamespaceFlags(0, refused, () => "1");
    expect(find).toThrow(/`unshare --net .*`: .*; `unshare --user /);
    expect(find).not.toThrow("apparmor");
  });
});
