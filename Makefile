# Everything a person or CI runs. Each target does the set-up that it needs; downloads and builds go to .parts/
# (or to VPSIGHT_PARTS_DIR, which several clones can share), npm's packages to node_modules/.
.DEFAULT_GOAL := help
.PHONY: help sandbox sandbox-once kiali-check kiali-scale drill-loss drill-scale collector test fuzz check bench setup generate lint types unit format

# node.sh prints where a fit Node is, and brings one when the machine's own is too old.
with_node = PATH="$$(sh sandbox/parts/node.sh):$$PATH"
node = $(with_node) node
typescript = $(node) --import tsx
jest = $(node) node_modules/.bin/jest

help: ## This list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

sandbox: setup ## The whole platform on this machine, with a live table of the fleet; Ctrl-C ends it
	@$(typescript) sandbox/main.ts live

sandbox-once: setup ## The same, bounded: a fixed scenario, then every request is accounted for; exit 0 or 1
	@$(typescript) sandbox/main.ts once

drill-loss: setup ## What a rolling update, an outage and a kill of the exporter lose under load (about 5 minutes)
	@$(typescript) sandbox/main.ts drill-loss

drill-scale: setup collector ## Two and four exporters, then OpenTelemetry Collectors in front: who takes what, and nothing is lost
	@$(typescript) sandbox/main.ts drill-scale

kiali-check: setup ## What Kiali would draw of the fleet, held against what the fleet sent; PICTURE=file.svg draws it; exit 0 or 1
	@VPSIGHT_KIALI_PICTURE="$(PICTURE)" $(typescript) sandbox/main.ts kiali

kiali-scale: setup ## What the graph costs Prometheus at 12, 300 and 1,000 VPSes, on this machine
	@$(typescript) sandbox/kiali/scale.ts

test: setup collector ## All tests, those on the real control plane included; the last line is `N passed, N failed`
	@$(typescript) tests/run.ts

check: node_modules/.installed lint types generate unit ## Lint, types, generated files, unit tests
	@git diff --exit-code --stat -- dashboards/generated || { echo "dashboards/generated was out of date: commit what changed." >&2; exit 1; }

fuzz: node_modules/.installed ## The decoder of what the exporter is sent, against 2 million made-up messages (inputs=…, seed=…, file=…)
	@$(typescript) tests/fuzz/main.ts $(if $(inputs),--inputs $(inputs)) $(if $(seed),--seed $(seed)) $(if $(file),--file $(file))

bench: node_modules/.installed ## Side by side with the OpenTelemetry Collector, mtail and Istio's log: about 12 minutes on two quiet cores
	@$(typescript) sandbox/parts/install.ts envoy otel-collector mtail
	@$(typescript) bench/main.ts

setup: node_modules/.installed ## Bring every part the sandbox runs (first time: about 20 minutes on 2 cores)
	@$(typescript) sandbox/parts/install.ts

collector: node_modules/.installed
	@$(typescript) sandbox/parts/install.ts otel-collector

generate: node_modules/.installed
	@$(typescript) dashboards/generate.ts

lint: node_modules/.installed
	@$(node) node_modules/.bin/eslint --cache --cache-location node_modules/.cache/eslint .
	@$(node) node_modules/.bin/prettier --check --cache --log-level warn .

types: node_modules/.installed
	@$(node) node_modules/.bin/tsc -p . --incremental --tsBuildInfoFile node_modules/.cache/tsbuildinfo

unit: node_modules/.installed
	@$(jest) --selectProjects unit

format: node_modules/.installed
	@$(node) node_modules/.bin/prettier --write --log-level warn .

node_modules/.installed: package.json package-lock.json
	@echo "npm packages: installing (about 1 min)"
	@$(with_node) npm ci --no-audit --no-fund --loglevel=error
	@touch $@
