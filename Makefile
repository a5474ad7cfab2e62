# The commands of the project. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# A long form takes its time; the limit per test is for those of every day.
LONG_TEST := pytest -q --timeout 0
export PATH := $(CURDIR)/$(BIN):$(PATH)
GOLD := SELECT date, activity_type, SUM(activities_played)::INT AS plays, \
	ROUND(SUM(completed_plays) / SUM(activities_played), 3) AS completion_rate, \
	ROUND(SUM(capped_time_spent) / 3600, 1) AS hours \
	FROM gold.activity_engagement_metrics GROUP BY ALL ORDER BY date DESC, plays DESC LIMIT 8

.PHONY: demo-steps $(shell sed -nE 's/^([a-z0-9-]+):.*## .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list the commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: .venv/.ready ## create .venv from the hashed lock

.venv/.ready: requirements.lock pyproject.toml
	@if command -v uv >/dev/null; then \
	  uv venv -q --allow-existing --python '>=3.11' .venv && \
	  VIRTUAL_ENV=.venv uv pip install -q --require-hashes -r requirements.lock && \
	  VIRTUAL_ENV=.venv uv pip install -q --no-deps --no-build-isolation -e . ; \
	else \
	  $(PYTHON) -c 'import sys; sys.exit("Lakemesh needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; set PYTHON=python3.11") if sys.version_info < (3, 11) else None' && \
	  $(PYTHON) -m venv .venv && \
	  $(BIN)/python -m pip install -q --require-hashes -r requirements.lock && \
	  $(BIN)/python -m pip install -q --no-deps --no-build-isolation -e . ; \
	fi
	@touch $@

setup-portal: setup ## add the charts of the pages of releases and of reports
	@if command -v uv >/dev/null; then VIRTUAL_ENV=.venv uv pip install -q --require-hashes -r requirements-portal.lock; \
	else $(BIN)/python -m pip install -q --require-hashes -r requirements-portal.lock; fi

setup-postgres: setup ## add the driver for state in Postgres and for serving
	@if command -v uv >/dev/null; then VIRTUAL_ENV=.venv uv pip install -q --require-hashes -r requirements-postgres.lock; \
	else $(BIN)/python -m pip install -q --require-hashes -r requirements-postgres.lock; fi

setup-sources: setup ## add dlt, which reads other systems into the landing
	@if command -v uv >/dev/null; then VIRTUAL_ENV=.venv uv pip install -q --require-hashes -r requirements-sources.lock; \
	else $(BIN)/python -m pip install -q --require-hashes -r requirements-sources.lock; fi

setup-kafka: setup ## add the client of Kafka, with Avro
	@if command -v uv >/dev/null; then VIRTUAL_ENV=.venv uv pip install -q --require-hashes -r requirements-kafka.lock; \
	else $(BIN)/python -m pip install -q --require-hashes -r requirements-kafka.lock; fi

setup-notebook: setup-portal ## add what opens and runs notebooks over releases
	@if command -v uv >/dev/null; then VIRTUAL_ENV=.venv uv pip install -q --require-hashes -r requirements-notebook.lock; \
	else $(BIN)/python -m pip install -q --require-hashes -r requirements-notebook.lock; fi

setup-serve: setup ## add the server for programs and agents (replaces the uvicorn of SQLMesh's own)
	@if command -v uv >/dev/null; then VIRTUAL_ENV=.venv uv pip install -q --no-deps --require-hashes -r requirements-serve.lock; \
	else $(BIN)/python -m pip install -q --no-deps --require-hashes -r requirements-serve.lock; fi

setup-openlineage: setup ## add the client that sends events of cycles with column lineage
	@if command -v uv >/dev/null; then VIRTUAL_ENV=.venv uv pip install -q --require-hashes -r requirements-openlineage.lock; \
	else $(BIN)/python -m pip install -q --require-hashes -r requirements-openlineage.lock; fi

setup-spark: setup ## add Spark for the gateway spark (needs Java 17)
	@if command -v uv >/dev/null; then VIRTUAL_ENV=.venv uv pip install -q --require-hashes -r requirements-spark.lock; \
	else $(BIN)/python -m pip install -q --require-hashes -r requirements-spark.lock; fi

setup-spark-s3a: setup-spark ## add Hadoop's S3 connector for Spark (needs Maven; 280 MB)
	@for artifact in org.apache.hadoop:hadoop-aws:3.3.4 com.amazonaws:aws-java-sdk-bundle:1.12.262; do \
	  mvn -q -B dependency:copy -Dartifact=$$artifact -DoutputDirectory=$(CURDIR)/.venv/jars || exit 1; \
	done

setup-release: setup ## add what writes the SBOM of a release
	@if command -v uv >/dev/null; then VIRTUAL_ENV=.venv uv pip install -q --require-hashes -r requirements-release.lock; \
	else $(BIN)/python -m pip install -q --require-hashes -r requirements-release.lock; fi

lock: ## resolve pyproject.toml into the locks (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --extra dev --output-file requirements.lock pyproject.toml
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --constraint requirements.lock --output-file requirements-core.lock pyproject.toml
	@for extra in portal postgres sources kafka notebook openlineage spark release; do \
	  $(PYTHON) -c "import sys, tomllib; extras = tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']; print(*extras[sys.argv[1]], sep='\n')" $$extra | \
	  uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --constraint requirements.lock --output-file requirements-$$extra.lock - || exit 1; \
	done
	@echo 'feast[duckdb]==0.67.*' | uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --output-file requirements-feast.lock -
	@$(PYTHON) -c "import tomllib; extras = tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']; print(*extras['serve'], sep='\n')" | \
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --constraint <(awk '/^[a-z0-9]/ { kept = !/^uvicorn==/ } kept' requirements.lock) --override <(echo 'uvicorn>=0.54') \
	  --output-file requirements-serve.lock -
	@echo 'checkov>=3.3' | uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --output-file requirements-deploy.lock -
	@for scheduler in airflow dagster; do \
	  uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --output-file deploy/$$scheduler/requirements.lock deploy/$$scheduler/requirements.in || exit 1; \
	done

lint: setup ## ruff, mypy, layers, contracts, metrics, roles, sqlmesh format and lint
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache --no-logo
	lake contracts >/dev/null
	lake metrics check >/dev/null
	lake access >/dev/null
	sqlmesh format --check
	sqlmesh lint

test: setup ## run the tests of every day (minutes)
	pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not slow and not long'

test-all: setup ## run every test but the long forms, which have commands of their own (half an hour)
	pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not slow'

demo: setup-portal demo-steps ## sample data, ingest, plan, a first release with its pages, a query on it
	@echo
	@echo "Open:  $$(lake portal --path)"
	@echo
	@echo "Next:  sqlmesh plan         preview changes of models or late data, after the unit tests of all models"
	@echo "       sqlmesh ui           project, lineage and columns at http://localhost:8000"
	@echo "       lake sample --seed 2 && lake ingest && sqlmesh run      more data; only its days are recomputed"

demo-stream: setup-portal setup-kafka setup-postgres ## a shop that lives for ten minutes: database, connector, broker, stream, cycles (needs PostgreSQL, Java 17, Maven)
	python -m tests.demo_stream --minutes $${MINUTES:-10}

drill: setup ## back up the lake of the settings to a temporary folder, and rebuild it elsewhere from there
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && lake backup --to "$$folder" && lake drill --from "$$folder"

pictures: setup-portal ## take the pictures of the README from the current release (needs Chromium)
	python -m pipeline.dev.pictures

demo-steps:
	@echo "== sample data into the landing"
	lake sample --late 0.02 --duplicates 0.01 --malformed 0.002 --unknown-fields 0.01 --unknown-users 0.002 --orders 60
	@echo "== landing to bronze"
	lake ingest
	@echo "== bronze to silver and gold"
	sqlmesh plan --auto-apply --no-prompts --skip-tests
	@echo "== a release"
	lake publish
	@python -m pipeline.dev.query "$(GOLD)"

demo-s3: setup ## the same on a local S3 server
	python -m pipeline.dev.local_s3 -- $(MAKE) --no-print-directory demo-steps

bench: setup ## raw files to gold compared with a hand-written merge (minutes)
	python -m benchmarks.raw_to_gold

torture: setup ## the long tests, then 1,000 kills of ingest, replay and maintenance (30 minutes)
	pytest -m slow
	python -m tests.torture --kills 500 --ingesters 1
	python -m tests.torture --kills 500 --ingesters 3

histories: setup ## 200 random histories: incremental equals full rebuild (2 hours)
	HISTORIES=$${HISTORIES:-200} $(LONG_TEST) tests/e2e/test_histories.py
	HISTORIES=$${HISTORIES:-20} $(LONG_TEST) tests/pipeline/invalidation/test_unchanged_histories.py \
	  tests/pipeline/warehouse/by_key/test_revenue_histories.py
	HISTORIES=$${HISTORIES:-20} ROUNDS=$${ROUNDS:-6} $(LONG_TEST) \
	  tests/pipeline/invalidation/test_domain_histories.py
	ORDERS=$${HISTORIES:-200} LOADS=20 $(LONG_TEST) tests/pipeline/warehouse/changes/test_arrivals.py

erasures: setup ## 100 random histories with erasures, and 50 kills of one (half an hour)
	HISTORIES=$${HISTORIES:-100} $(LONG_TEST) tests/hostile/test_erasure_histories.py
	KILLS=$${KILLS:-50} $(LONG_TEST) tests/e2e/test_erase.py

mutants: setup ## every small fault in the models, which their unit tests must notice (5 minutes)
	python -m tests.mutants --faults $${FAULTS:-all} --seed $${SEED:-1}

businesses: setup ## 20 random subscription businesses: the models equal plain Python (15 minutes)
	BUSINESSES=$${BUSINESSES:-20} $(LONG_TEST) tests/e2e/test_revenue_parity.py

shops: setup ## 20 random shops: sales, sessions, stock, customers and growth equal plain Python (2 hours)
	SHOPS=$${SHOPS:-20} $(LONG_TEST) tests/e2e/test_shop_sales.py tests/e2e/test_shop_sessions.py \
	  tests/e2e/test_shop_stock.py tests/e2e/test_shop_customers.py tests/e2e/test_shop_growth.py

fuzz: setup ## 10,000 random objects compared with an independent count of their records (30 minutes)
	python -m tests.fuzz --objects 10000

hostile: setup-serve ## 10,000 hostile requests to the server: 4xx, no file changed, still up (20 minutes)
	HOSTILE=$${HOSTILE:-10000} $(LONG_TEST) -s tests/pipeline/api/test_hostile.py

soak: setup ## 24 simulated days: arrivals, faults, kills, erasures, an upgrade; nothing lost, cost flat (an hour)
	python -m tests.soak --days $${DAYS:-24} --seed $${SEED:-1}

serve-soak: setup-portal setup-serve ## 100 clients of lake serve for 5 minutes while the release moves and cycles are killed (10 minutes)
	python -m tests.serve_soak --clients $${CLIENTS:-100} --minutes $${MINUTES:-5} --every $${EVERY:-5}

kills: setup ## 200 kills of lake run with a concurrent reader (15 minutes)
	KILLS=$${KILLS:-200} $(LONG_TEST) -s tests/e2e/test_kills.py

stream-kills: setup-kafka ## 200 kills of lake stream and its broker, with aborted transactions (half an hour; needs Java 17, Maven)
	KILLS=$${KILLS:-100} $(LONG_TEST) -s tests/e2e/test_stream_kills.py

connector: setup-postgres ## 1,500 transactions captured by the real connector: histories equal the database (minutes; needs Java 17, Maven)
	TRANSACTIONS=$${TRANSACTIONS:-500} $(LONG_TEST) tests/e2e/test_captured_changes.py

airflow: setup .venv-airflow/.ready ## the DAGs on Airflow in an environment of its own, to a release (minutes)
	$(LONG_TEST) -m slow tests/deploy/test_airflow.py

dagster: setup .venv-dagster/.ready ## the jobs on Dagster in an environment of its own, to a release (minutes)
	$(LONG_TEST) -m slow tests/deploy/test_dagster.py

.venv-%/.ready: deploy/%/requirements.lock
	@if command -v uv >/dev/null; then \
	  uv venv -q --allow-existing --python '>=3.11' .venv-$* && \
	  VIRTUAL_ENV=.venv-$* uv pip install -q --require-hashes -r $<; \
	else \
	  $(PYTHON) -m venv .venv-$* && .venv-$*/bin/python -m pip install -q --require-hashes -r $<; \
	fi
	@touch $@

images: setup ## the image's build steps in order, without a container, and its Dockerfile linted (minutes)
	@if command -v hadolint >/dev/null; then hadolint deploy/Dockerfile; else echo "hadolint is not installed: not linted"; fi
	$(LONG_TEST) -m slow tests/deploy/test_image.py

charts: setup ## the Helm chart: lint, render, validate, policies (needs helm, kubernetes-validate, checkov: docs/deploy.md)
	@for name in helm kubernetes-validate checkov; do command -v $$name >/dev/null || { echo "$$name is not installed, see docs/deploy.md"; exit 1; }; done
	$(LONG_TEST) -m 'slow or not slow' tests/deploy/test_chart.py

feast: setup ## Feast over a release equals `lake features get` (a minute; an environment of its own in .venv-feast)
	$(PYTHON) -m venv .venv-feast && .venv-feast/bin/python -m pip install -q --require-hashes -r requirements-feast.lock
	FEAST_PYTHON=$(CURDIR)/.venv-feast/bin/python pytest -q -m slow tests/feast

spark: setup-spark ## every test on Spark: a cluster, kills, S3, parity (a quarter of an hour; needs Java 17)
	pytest -q -m 'slow or not slow' tests/spark

models-spark: setup-spark ## all model unit tests on Spark (minutes; needs Java 17)
	pytest -q -m 'slow or not slow' tests/spark/test_models.py

terraform: setup ## deploy/terraform: checkov, tflint, the provider's arguments, roles under enforcement of IAM (minutes; needs tflint)
	@test -x .venv-deploy/bin/checkov || { $(PYTHON) -m venv .venv-deploy && \
	  .venv-deploy/bin/python -m pip install -q --require-hashes -r requirements-deploy.lock; }
	@for environment in dev staging prod; do \
	  .venv-deploy/bin/checkov --skip-download --framework terraform --quiet --compact --directory deploy/terraform \
	    --var-file deploy/terraform/environments/$$environment.tfvars || exit 1; \
	done
	tflint --chdir deploy/terraform --recursive --config $(CURDIR)/deploy/terraform/.tflint.hcl
	.venv-deploy/bin/python -m tests.deploy.arguments
	$(LONG_TEST) -m slow tests/deploy/test_roles.py

upgrades: setup ## lakes of every older version, upgraded: same gold, and a rebuild equals it (minutes)
	$(LONG_TEST) -s -m 'slow or not slow' tests/e2e/test_upgrades.py

newest: setup ## the newest SQLMesh, DuckDB and pyspark in an environment of their own: unit tests, demo (minutes)
	python -m tests.newest

release-check: setup-release ## build wheel, source archive and SBOM into dist twice, compare, install (minutes)
	python -m pipeline.dev.version
	python -m pipeline.dev.release dist --check

clean: ## remove .venv, data and caches
	rm -rf .venv .venv-* data .cache logs .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
