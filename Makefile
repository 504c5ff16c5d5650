# Thin: everything is in `bastide`; here is how to build it and what to call.

TARGET := $(shell . .ci/environment; rustc --print host-tuple)
PROGRAMS := $(or $(CARGO_TARGET_DIR),target)/$(TARGET)/release
BASTIDE := $(PROGRAMS)/bastide

.PHONY: up down build prerequisites test quick bench

up: build            ## boot the lab, build the platform on it, print the URL
	$(BASTIDE) up

down: build          ## take the lab down
	$(BASTIDE) down

build: prerequisites ## the programs, static; the last one is the login providers of the lab's world
	.ci/build

prerequisites:       ## install what a fresh Debian or Ubuntu machine lacks
	.ci/prerequisites

quick: prerequisites ## the inner loop: unit and snapshot tests only
	. .ci/environment; cargo test --workspace --locked

test: prerequisites  ## everything, in labs of its own beside any that is up; needs root
	.ci/test

bench: prerequisites ## the numbers, in a lab and with servers of their own; needs root
	.ci/build -p bench-load -p bench-flows
	. .ci/environment; bench/converge/run
	. .ci/environment; bench/api/run
	. .ci/environment; bench/identity/run
