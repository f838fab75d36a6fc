//! The `vestibule` program.

use std::process::ExitCode;

// Less memory for each stream that is held, and less work for what is larger than a page
// (docs/explanation/performance.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    vestibule::cli::main()
}
