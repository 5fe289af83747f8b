.DEFAULT_GOAL := help
CONFIGURATION ?= Release
export DOTNET_CLI_TELEMETRY_OPTOUT = 1
export DOTNET_NOLOGO = 1

OBSERVE = artifacts/bin/Observe/$(shell echo $(CONFIGURATION) | tr A-Z a-z)/observe
NATIVE = artifacts/native/observe

.PHONY: help build native ui page demo test page-figures bench-query bench-store bench-pair bench-metadata bench-replay bench-ingest bench-live bench-interference fuzz-promql truth history death kills faults lint format peers clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: page ## restore and build the program, with its page where Node.js is
	@dotnet build src/Observe -c $(CONFIGURATION) -v quiet --nologo -clp:NoSummary

native: page ## compile the program ahead of time, for this machine's platform: artifacts/native/observe; needs a C compiler for linking
	@bash src/Observe/native $(NATIVE)

ui: ## build the page at / (src/Query/ui) with npm
	@bash src/Query/ui/build

# The program is whole without its page: what keeps that from being built is said, and nothing more.
page:
	@bash src/Query/ui/build || { [ $$? -eq 3 ] || echo "ui: the page could not be built and is left out" >&2; }

demo: build ## run every role, fed by three simulated clusters; http://127.0.0.1:9090
	@exec $(OBSERVE) demo $(ARGS)

test: page ## build everything, run all tests; the last line is "N passed, N failed[, N skipped]"
	@bash tests/run

page-figures: page ## measure in a browser how fast the page answers with 10 000 series and 1 000 blocks
	@PAGE_FIGURES=1 dotnet test tests/EndToEnd.Tests -c $(CONFIGURATION) --nologo -v quiet \
	  --filter FullyQualifiedName~PageTests.Large_answers --logger 'console;verbosity=detailed'

bench-query: build native ## time queries against Prometheus over the same blocks (make peers first); ARGS="--runs 7 --only REGEX --cold no"
	@dotnet build tests/Benchmarks -c Release -v quiet --nologo -clp:NoSummary
	@artifacts/bin/Observe.Benchmarks/release/Observe.Benchmarks bench-query --observe $(if $(wildcard $(NATIVE)),$(NATIVE),$(OBSERVE)) $(ARGS)

bench-metadata: build native ## time searches for labels and series against Prometheus (make peers first); ARGS="--series 150000 --runs 9 --only REGEX"
	@dotnet build tests/Benchmarks -c Release -v quiet --nologo -clp:NoSummary
	@artifacts/bin/Observe.Benchmarks/release/Observe.Benchmarks bench-metadata --observe $(if $(wildcard $(NATIVE)),$(NATIVE),$(OBSERVE)) $(ARGS)

bench-pair: build native ## time queries over two replicas' blocks against those over one's (make peers first); ARGS as for bench-query
	@dotnet build tests/Benchmarks -c Release -v quiet --nologo -clp:NoSummary
	@artifacts/bin/Observe.Benchmarks/release/Observe.Benchmarks bench-pair --observe $(if $(wildcard $(NATIVE)),$(NATIVE),$(OBSERVE)) $(ARGS)

bench-store: build native ## time queries over observe store against the bucket inside query (make peers first); ARGS as of bench-query
	@dotnet build tests/Benchmarks -c Release -v quiet --nologo -clp:NoSummary
	@artifacts/bin/Observe.Benchmarks/release/Observe.Benchmarks bench-store --observe $(if $(wildcard $(NATIVE)),$(NATIVE),$(OBSERVE)) $(ARGS)

bench-replay: build native ## time the start after a kill against Prometheus over the same log (make peers first); ARGS="--series 30000,300000 --targets 300 --interval 15 --hours 2 --runs 3 --snapshots no"
	@dotnet build tests/Benchmarks -c Release -v quiet --nologo -clp:NoSummary
	@artifacts/bin/Observe.Benchmarks/release/Observe.Benchmarks bench-replay --observe $(if $(wildcard $(NATIVE)),$(NATIVE),$(OBSERVE)) $(ARGS)

bench-ingest: build native ## what scraping costs, against Prometheus and VictoriaMetrics (make peers first); ARGS="--targets 300 --interval 10 --minutes 5 --block-range 4m --only prometheus,victoria,observe,observe-no-live"
	@dotnet build tests/Benchmarks -c Release -v quiet --nologo -clp:NoSummary
	@artifacts/bin/Observe.Benchmarks/release/Observe.Benchmarks bench-ingest --observe $(if $(wildcard $(NATIVE)),$(NATIVE),$(OBSERVE)) $(ARGS)

bench-live: build native ## freshness, deaths and hand-over of live slices; ARGS="--cases freshness --collectors 30 --minutes 10 --s3 SCRIPT"
	@dotnet build tests/Benchmarks -c Release -v quiet --nologo -clp:NoSummary
	@artifacts/bin/Observe.Benchmarks/release/Observe.Benchmarks bench-live --observe $(if $(wildcard $(NATIVE)),$(NATIVE),$(OBSERVE)) $(ARGS)

bench-interference: build ## how late scrapes come while the same process queries, compacts and serves Series; ARGS="--seconds 30 --cases all"
	@dotnet build tests/Benchmarks -c Release -v quiet --nologo -clp:NoSummary
	@artifacts/bin/Observe.Benchmarks/release/Observe.Benchmarks interference --observe $(if $(wildcard $(NATIVE)),$(NATIVE),$(OBSERVE)) $(ARGS)

COUNT ?= 100000
SEED ?= 1

fuzz-promql: ## ask COUNT random queries, from SEED on, of Prometheus and of Observe, and print what differs
	@FUZZ_QUERIES=$(COUNT) FUZZ_SEED=$(SEED) dotnet test tests/Query.Tests -c $(CONFIGURATION) --nologo -v quiet \
	  --filter FullyQualifiedName~DifferentialTests --logger 'console;verbosity=detailed'

.PHONY: fuzz-scrape
fuzz-scrape: ## let Prometheus and Observe scrape COUNT random bodies, and relabel as many random targets, from SEED on, and print what differs
	@SCRAPE_BODIES=$(COUNT) SCRAPE_SEED=$(SEED) RELABEL_JOBS=$(COUNT) RELABEL_SEED=$(SEED) dotnet test tests/Collector.Tests -c $(CONFIGURATION) --nologo -v quiet \
	  --filter FullyQualifiedName~Differential --logger 'console;verbosity=detailed'

fuzz-scrape: COUNT = 6000

truth: ## ask COUNT queries, from SEED on, of replicas and of the one series that they are, and print what differs
	@TRUTH_CASES=$(COUNT) TRUTH_SEED=$(SEED) dotnet test tests/Query.Tests -c $(CONFIGURATION) --nologo -v quiet \
	  --filter FullyQualifiedName~PairTruthTests --logger 'console;verbosity=detailed'

truth: COUNT = 1000000
truth: SEED = 1

history: ## make a month of three clusters, compact and downsample it, and write what each function answers from what is left: artifacts/history.tsv
	@HISTORY_DAYS=$(DAYS) dotnet test tests/Query.Tests -c $(CONFIGURATION) --nologo -v quiet \
	  --filter FullyQualifiedName~MonthTests --logger 'console;verbosity=detailed'

history: DAYS = 30

death: ## send COUNT hostile queries, of SEED from number FIRST on, to the program in 512 MiB while it scrapes; each within its limit + 100 ms
	@DEATH_QUERIES=$(COUNT) DEATH_SEED=$(SEED) DEATH_FIRST=$(FIRST) DEATH_SLACK_MS=100 dotnet test tests/EndToEnd.Tests -c $(CONFIGURATION) --nologo -v quiet \
	  --filter FullyQualifiedName~QueriesOfDeathTests --logger 'console;verbosity=detailed'

kills: ## kill each role with each signal in each phase of its start and stop, KILLS times over
	@KILLS=$(KILLS) dotnet test tests/EndToEnd.Tests -c $(CONFIGURATION) --nologo -v quiet \
	  --filter FullyQualifiedName~KillPhaseTests --logger 'console;verbosity=detailed'

kills: KILLS = 3

faults: ## kill a collector KILL_LOOPS times at 50 000 samples a second, recover from CRASH_STATES power cuts, fill its disk DISK_FULL_CYCLES times
	@KILL_LOOPS=$(KILL_LOOPS) KILL_SERIES=5000 CRASH_STATES=$(CRASH_STATES) DISK_FULL_CYCLES=$(DISK_FULL_CYCLES) \
	  dotnet test tests/EndToEnd.Tests -c $(CONFIGURATION) --nologo -v quiet \
	  --filter "FullyQualifiedName~KillTests|FullyQualifiedName~CrashStateTests|FullyQualifiedName~DiskFullTests" --logger 'console;verbosity=detailed'

faults: KILL_LOOPS = 1000
faults: CRASH_STATES = 10000
faults: DISK_FULL_CYCLES = 50

death: COUNT = 5000

lint: ## check that the code is formatted
	dotnet format Observe.sln --verify-no-changes --no-restore

format: ## format the code
	dotnet format Observe.sln --no-restore

peers: ## bring Prometheus, promtool, node_exporter and kubectl, which some tests compare with
	@bash .ci/peers

clean: ## delete what was built
	rm -rf artifacts
