import { version } from "../version";

/** What a person sees who opens the exporter's address: the paths, and nothing that needs escaping. */
export const landingPage = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>vpsight exporter</title></head>
<body>
<h1>vpsight exporter ${version}</h1>
<ul>
<li><a href="/metrics">/metrics</a>: requests of each VPS, and the exporter's own figures</li>
<li><a href="/metrics/mesh">/metrics/mesh</a>: the same counts as Kiali draws them, where that is switched on</li>
<li><a href="/healthz">/healthz</a>: whether the process is alive</li>
<li><a href="/readyz">/readyz</a>: whether it takes records</li>
<li><a href="/status">/status</a>: the inventory, what arrives, and who the unknown callers are</li>
</ul>
</body>
</html>
`;
