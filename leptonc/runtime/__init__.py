"""Running objects: memory, the loader, the thread pool, the call. Knows neither LLVM nor the graph."""
