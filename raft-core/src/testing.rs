//! A simulated world, invariant checkers and conformance suites.
