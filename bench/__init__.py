"""The benchmarks: what an answer costs here, and what it costs with others. `bin/bench` runs them."""
