# Each target creates .venv first if it is not there. The work is in scripts/.
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-full test check

help:  ## Show this help
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 18

setup:  ## Create .venv with the tested set of packages
	@scripts/setup.sh

demo:  ## Run the whole method in miniature, on a CPU
	@scripts/demo.sh

demo-full:  ## The same, longer: an hour or two
	@scripts/demo.sh --full

test:  ## Run the tests
	@scripts/test.sh

check:  ## Run what every change must pass: style, types, tests
	@scripts/check.sh
