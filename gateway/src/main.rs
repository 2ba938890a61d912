//! `mindweave`: the command.

use std::process::ExitCode;

// It doesn't ask for huge pages (`no_thp`): rounded up to two megabytes each, what threads and sizes of objects begin with
// is 18 MB more than they use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gateway::run(std::env::args_os())
}
