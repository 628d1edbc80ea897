//! A compiled policy, and copies of it for threads that decide at the same time.
//!
//! The interpreter counts references to the syntax tree on every step. Two threads on one tree spend half of their time
//! passing those counters between their cores; on a tree each they do not meet at all. So a thread takes a copy that
//! nobody is using, and where all are in use another one is compiled in the background, up to one for each core. A
//! program that decides on one thread never has more than the first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use regorus::Engine;

/// More copies would only cost memory: beyond this, threads wait for Python more than for each other.
const COPIES_MAX: usize = 8;

/// Compiles the policy once more, into a tree that nothing else points to.
type Compile = dyn Fn() -> Result<Engine, String> + Send + Sync;

#[derive(Default)]
struct Copy {
    engine: OnceLock<Engine>,
    busy: AtomicBool,
}

struct Shared {
    copies: Box<[Copy]>,
    compile: Box<Compile>,
    compiling: AtomicBool,
}

pub struct Replicas(Arc<Shared>);

impl Replicas {
    /// Compile the first copy. `compile` gives equal engines each time, or the same error.
    pub fn new(compile: impl Fn() -> Result<Engine, String> + Send + Sync + 'static) -> Result<Self, String> {
        let copies = thread::available_parallelism().map_or(1, |cores| cores.get().min(COPIES_MAX));
        let shared = Shared {
            copies: (0..copies).map(|_| Copy::default()).collect(),
            compile: Box::new(compile),
            compiling: AtomicBool::new(false),
        };
        let first = (shared.compile)()?;
        let _ = shared.copies[0].engine.set(first);
        Ok(Self(Arc::new(shared)))
    }

    /// The first copy, for work where it does not matter who else uses it.
    pub fn first(&self) -> &Engine {
        self.0.copies[0].engine.get().expect("the first copy is compiled before there is a value of this type")
    }

    /// Runs `work` on a copy that no other thread is using, or on the first where there is none. Never waits.
    pub fn with<T>(&self, work: impl FnOnce(&Engine) -> T) -> T {
        for copy in &self.0.copies {
            let Some(engine) = copy.engine.get() else {
                self.compile_another();
                break;
            };
            if !copy.busy.swap(true, Ordering::Acquire) {
                let _free = Free(&copy.busy);
                return work(engine);
            }
        }
        work(self.first())
    }

    /// How many copies are compiled.
    pub fn count(&self) -> usize {
        self.0.copies.iter().filter(|copy| copy.engine.get().is_some()).count()
    }

    fn compile_another(&self) {
        if self.0.compiling.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::clone(&self.0);
        // Where no thread can be had, or the copy cannot be compiled, everyone goes on with the copies that there are.
        let _ = thread::Builder::new().name("openclaw-replica".to_owned()).spawn(move || {
            let free = shared.copies.iter().find(|copy| copy.engine.get().is_none());
            if let (Some(copy), Ok(engine)) = (free, (shared.compile)()) {
                let _ = copy.engine.set(engine);
                shared.compiling.store(false, Ordering::Release);
            }
        });
    }
}

/// Gives a copy back, also when the work on it panics.
struct Free<'a>(&'a AtomicBool);

impl Drop for Free<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
