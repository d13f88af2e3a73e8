# spatten: `make help` lists everything. `make run` and `make test` need nothing but git, make, cargo and the registries:
# setup.sh brings the rest.

CARGO ?= cargo
MODEL ?= all-MiniLM-L6-v2
# The recommended plan, and the paper's: cascade tokens and heads, local values, progressive K.
PLANS ?= plans/minilm-safe.toml plans/paper.toml
SPATTEN = target/release/spatten
# Which RTL `make synth` and `make fmax` take, and the clock it must reach.
ARCH ?= eighth
FREQ ?= 120
SEEDS ?= 1
RTL = target/rtl/$(ARCH)/$(B)

.PHONY: help run test test-long setup build lint docs bench eval fuzz clean \
	bench-topk rtl-block rtl-share block block-table synth gates fmax fmax-table tools-test

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

run: setup build ## embed sentences with a real transformer, its attention pruned and bit-exact (PLANS=..., MODEL=...)
	@set -e; for plan in $(PLANS); do \
		echo; $(SPATTEN) infer --model $(MODEL) --file data/sentences.txt --plan $$plan; done

test: setup ## everything a contributor needs: unit, property, end-to-end tests, lints, generated tables
	@rm -rf target/checks target/beats
	$(CARGO) test --workspace --locked
	$(CARGO) run -q --locked -- docs --check
	@sh tests/count-checks.sh

test-long: test ## hours: the same, blocks at the paper's size, fuzzing every loader for ten minutes each
	SPATTEN_LONG=1 $(CARGO) test --workspace --release --locked
	fuzz/run.sh 600

setup: ## system packages and the model (into the user's cache)
	@sh setup.sh build
	@sh setup.sh model

build: ## release build of the command line
	$(CARGO) build --release --locked

lint: ## format, clippy and rustdoc, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

rtl-share: ## lines of RTL from rust-hdl kernels, and lines of Verilog text
	$(CARGO) run -q --locked -- rtl --arch eighth --share

docs: ## rewrite the tables that are generated from the arch crate
	$(CARGO) run -q --locked -- docs

bench: ## criterion benchmarks of the golden model
	$(CARGO) bench --locked -p spatten-golden --bench layer

eval: setup build ## quality sweep, plan search and report on the test half (about 25 minutes)
	$(SPATTEN) eval --sweep docs/quality
	$(SPATTEN) eval --search plans
	$(SPATTEN) eval --plan plans/paper.toml --plan plans/minilm-safe.toml --plan plans/minilm-fast.toml

fuzz: ## every loader for a minute each (cargo install cargo-fuzz)
	fuzz/run.sh 60

bench-topk: setup ## cycles of the selection engines in RTL, and their cells; rewrites docs/topk.md and docs/topk.svg
	$(CARGO) run -q --locked --example bench_topk

rtl-block: build
	@test -n "$(B)" || { echo "which block? for example: make synth B=fifo" >&2; exit 2; }
	@$(SPATTEN) rtl --arch $(ARCH) --block $(B) -o $(RTL)

block: ## everything of one block: unit tests, co-simulation, lint, cells (B=top_k)
	@test -n "$(B)" || { echo "which block? for example: make block B=fifo" >&2; exit 2; }
	$(CARGO) test --locked -q -p spatten-golden -p spatten-hw -p spatten-sim --lib -- $(B)
	$(CARGO) test --locked -q --test $(B)
	@set -e; for arch in tiny eighth; do \
		$(CARGO) run -q --locked -- rtl --arch $$arch --block $(B) -o target/rtl/$$arch/$(B); \
		(cd target/rtl/$$arch/$(B) && verilator --lint-only -Wall -f files.f --top-module $(B)); \
		scripts/synth.py target/rtl/$$arch/$(B) $(B); done

block-table: build ## every block: lines, modules, beats checked by the last tests, cells at eighth, time (half an hour; goes on)
	@scripts/block_table.py $(SPATTEN)

synth: rtl-block ## cells of one block on ECP5, refusing latches and loops (B=block, ARCH=eighth)
	@scripts/synth.py $(RTL) $(B) --json $(RTL)/synth.json

gates: ## a block's ECP5 netlist in Icarus Verilog shows what its RTL shows (B=dot_product, ARCH=eighth; minutes)
	@test -n "$(B)" || { echo "which block? for example: make gates B=dot_product" >&2; exit 2; }
	SPATTEN_GATES=$(ARCH) $(CARGO) test --locked -q --test $(B) -- --nocapture another_simulator_shows_the_same | tee target/gates.$(B)
	@grep -q '(gates): checked' target/gates.$(B) || { echo "gates $(B): nothing was played" >&2; exit 1; }

fmax: rtl-block ## clock frequency of one block, placed and routed on ECP5 (B=block, FREQ=120, SEEDS=1,2,3)
	@sh setup.sh fmax
	@scripts/fmax.py $(RTL) $(B) --freq $(FREQ) --seeds $(SEEDS) --json $(RTL)/fmax.json

fmax-table: build ## place and route of the blocks that set the clock, three seeds each; rewrites docs/fmax.md (hours; goes on)
	@sh setup.sh fmax
	@scripts/fmax_table.py $(SPATTEN) --freq $(FREQ)

tools-test: ## half a minute: synthesis, replay and proofs accept what is right and refuse what is broken on purpose
	@scripts/flow_selftest.sh
	@scripts/formal_selftest.sh

clean: ## everything that was built
	$(CARGO) clean
