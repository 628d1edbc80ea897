//! The regorus engine for Python: policies and data are compiled once, and every thread evaluates on its own clone.
//!
//! Three promises, each tested from Python:
//! - nothing here takes a lock, and the GIL is released while a policy is compiled or evaluated;
//! - every failure is an exception of this module with `kind`, `file`, `line` and `column`; a panic is one of them;
//! - no state survives an evaluation, so a decision cannot depend on the one before it.

mod builtins;
mod cloak;
mod dialect;
mod exact;
mod glob;
mod input;
mod leaves;
mod plain;
mod printf;
mod projection;
mod replicas;

use std::num::NonZeroU32;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError, Rc, Value};

use replicas::Replicas;

create_exception!(_native, NativeError, PyException, "What the native engine reports: kind, file, line, column.");

/// Statements between two looks at the clock. A look costs as much as a cheap statement.
const STATEMENTS_PER_CLOCK_READ: NonZeroU32 = NonZeroU32::new(32).unwrap();

/// A failure on its way to Python. `kind` is one of compile, input, evaluation, deadline, panic.
struct Failure {
    kind: &'static str,
    message: String,
}

impl Failure {
    fn new(kind: &'static str, message: impl ToString) -> Self {
        Self { kind, message: message.to_string() }
    }

    /// Python's form of it, with the position that regorus writes as `--> file:line:col` taken apart.
    fn raise(self, py: Python<'_>) -> PyErr {
        let (place, message) = split_message(&self.message);
        let error = NativeError::new_err(message);
        let value = error.value(py);
        let filled = value
            .setattr("kind", self.kind)
            .and_then(|()| value.setattr("file", place.as_ref().map_or("", |p| p.0.as_str())))
            .and_then(|()| value.setattr("line", place.as_ref().map_or(0, |p| p.1)))
            .and_then(|()| value.setattr("column", place.as_ref().map_or(0, |p| p.2)));
        match filled {
            Ok(()) => error,
            Err(other) => other,
        }
    }
}

/// Splits what regorus reports into the place and the bare message.
///
/// Its form is `\n--> file:line:col\n  |\n3 | source line\n  | ^\nerror: message`, where the message may span lines.
fn split_message(text: &str) -> (Option<(String, u32, u32)>, String) {
    let Some(start) = text.find("--> ") else {
        return (None, text.trim().to_owned());
    };
    let head = text[start + 4..].lines().next().unwrap_or_default();
    let mut parts = head.rsplitn(3, ':');
    let column = parts.next().and_then(|part| part.trim().parse().ok());
    let line = parts.next().and_then(|part| part.parse().ok());
    let place = match (parts.next(), line, column) {
        (Some(file), Some(line), Some(column)) => Some((file.to_owned(), line, column)),
        _ => None,
    };
    let message = match text[start..].find("\nerror: ") {
        Some(at) => text[start + at + 8..].trim().to_owned(),
        None => text.trim().to_owned(),
    };
    (place, message)
}

/// Runs `work` without the GIL; a panic in it is a failure like any other.
fn guarded<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, Failure> + Send) -> PyResult<T> {
    py.detach(|| {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned());
            Err(Failure::new("panic", format!("the engine panicked: {text}")))
        })
    })
    .map_err(|failure| failure.raise(py))
}

/// An input from its JSON.
fn parsed(json: &[u8]) -> Result<Value, Failure> {
    let text = std::str::from_utf8(json).map_err(|error| Failure::new("input", error))?;
    Value::from_json_str(text).map_err(|error| Failure::new("input", error))
}

/// Policies and data, compiled for one entry point. Immutable, and shared by all threads.
#[pyclass(frozen, module = "openclaw._native")]
struct Policy {
    engines: Replicas,
    entry_point: String,
}

/// An engine with these policies and data, ready to evaluate `entry_point`.
fn compiled(files: &[(String, String)], data: Value, entry_point: &str) -> Result<Engine, String> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    builtins::install(&mut engine)?;
    engine.set_gather_prints(true); // print() in a policy must not write to the host's standard error.
    for (path, text) in files {
        engine.add_policy(path.clone(), text.clone()).map_err(|error| error.to_string())?;
    }
    engine.add_data(data).map_err(|error| error.to_string())?;
    // Prepares the engine (schedule, hoisted loops) and checks that the entry point exists.
    let rule: Rc<str> = entry_point.into();
    engine.compile_with_entrypoint(&rule).map_err(|error| error.to_string())?;
    Ok(engine)
}

impl Policy {
    /// A fresh engine for one evaluation. The clone shares the compiled policy and the data, and costs about a
    /// microsecond; in exchange a failed evaluation cannot leave anything behind for the next.
    fn prepared(engine: &Engine, input: Value, deadline_us: u64) -> Engine {
        let mut engine = engine.clone();
        engine.set_input(input);
        engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: Duration::from_micros(deadline_us),
            check_interval: STATEMENTS_PER_CLOCK_READ,
        });
        engine
    }

    /// The JSON of the entry point's value; None where it is undefined.
    fn answer(&self, engine: &mut Engine) -> Result<Option<Vec<u8>>, Failure> {
        let value = engine.eval_rule(self.entry_point.clone()).map_err(|error| {
            let overrun = matches!(error.downcast_ref(), Some(LimitError::TimeLimitExceeded { .. }));
            Failure::new(if overrun { "deadline" } else { "evaluation" }, error)
        })?;
        if value == Value::Undefined {
            return Ok(None);
        }
        serde_json::to_vec(&value).map(Some).map_err(|error| Failure::new("evaluation", error))
    }
}

#[pymethods]
impl Policy {
    /// Compile `files` (path, text) with the base document `data_json` for the rule `entry_point`, such as
    /// `data.openclaw.decision`. Built-in errors are errors. Raises NativeError of kind `compile`.
    #[staticmethod]
    fn compile(py: Python<'_>, files: Vec<(String, String)>, data_json: &[u8], entry_point: String) -> PyResult<Self> {
        guarded(py, || {
            let text = std::str::from_utf8(data_json).map_err(|error| Failure::new("compile", error))?.to_owned();
            let rule = entry_point.clone();
            // Each engine reads the data for itself: values that they shared would have their counters passed between cores.
            let engines = Replicas::new(move || {
                let data = Value::from_json_str(&text).map_err(|error| error.to_string())?;
                compiled(&files, data, &rule)
            })
            .map_err(|error| Failure::new("compile", error))?;
            Ok(Self { engines, entry_point })
        })
    }

    /// The value of the entry point for `input_json`, as JSON; None where it is undefined. Raises NativeError of kind
    /// `input`, `evaluation`, `deadline` (after `deadline_us` microseconds) or `panic`.
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        input_json: &[u8],
        deadline_us: u64,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let answer = guarded(py, || {
            let input = parsed(input_json)?;
            self.engines.with(|engine| self.answer(&mut Self::prepared(engine, input, deadline_us)))
        })?;
        Ok(answer.map(|bytes| PyBytes::new(py, &bytes)))
    }

    /// The same for an input of plain Python objects, which saves writing and reading JSON. Raises NativeError of kind
    /// `input` also where an object in it is not plain: then its canonical JSON is to be evaluated.
    fn evaluate_plain<'py>(
        &self,
        py: Python<'py>,
        document: &Bound<'py, PyAny>,
        deadline_us: u64,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let input = input::plain(document).ok_or_else(|| Failure::new("input", "the input is not plain").raise(py))?;
        let answer = guarded(py, || {
            let input = input.build();
            self.engines.with(|engine| self.answer(&mut Self::prepared(engine, input, deadline_us)))
        })?;
        Ok(answer.map(|bytes| PyBytes::new(py, &bytes)))
    }

    /// The same evaluation with coverage on: the answer, and the report as JSON (`files`: path, covered and
    /// not_covered line numbers).
    fn coverage<'py>(
        &self,
        py: Python<'py>,
        input_json: &[u8],
        deadline_us: u64,
    ) -> PyResult<(Option<Bound<'py, PyBytes>>, Bound<'py, PyBytes>)> {
        let (answer, report) = guarded(py, || {
            let mut engine = Self::prepared(self.engines.first(), parsed(input_json)?, deadline_us);
            engine.set_enable_coverage(true);
            let answer = self.answer(&mut engine)?;
            let report = engine.get_coverage_report().map_err(|error| Failure::new("evaluation", error))?;
            let report = serde_json::to_vec(&report).map_err(|error| Failure::new("evaluation", error))?;
            Ok((answer, report))
        })?;
        Ok((answer.map(|bytes| PyBytes::new(py, &bytes)), PyBytes::new(py, &report)))
    }

    /// How many copies of the compiled policy there are: one, and more where threads have decided at the same time.
    #[getter]
    fn copies(&self) -> usize {
        self.engines.count()
    }

    /// The package of each file, as (path, components without `data`).
    fn packages(&self, py: Python<'_>) -> PyResult<Vec<(String, Vec<String>)>> {
        guarded(py, || {
            let packages = self.engines.first().get_policy_package_components();
            let packages = packages.map_err(|error| Failure::new("compile", error))?;
            Ok(packages.into_iter().map(|package| (package.source_file, package.components)).collect())
        })
    }
}

/// The syntax tree of one file, as JSON. Raises NativeError of kind `compile`.
#[pyfunction]
fn parse<'py>(py: Python<'py>, path: String, text: String) -> PyResult<Bound<'py, PyBytes>> {
    let tree = guarded(py, || {
        let mut engine = Engine::new();
        engine.add_policy(path, text).map_err(|error| Failure::new("compile", error))?;
        engine.get_ast_as_json().map_err(|error| Failure::new("compile", error))
    })?;
    Ok(PyBytes::new(py, tree.as_bytes()))
}

/// Whether the engine has a built-in function of this name (dotted identifiers only).
#[pyfunction]
fn has_builtin(py: Python<'_>, name: &str) -> PyResult<bool> {
    guarded(py, || {
        // The table of built-ins is private to regorus. A call without arguments is refused for its arguments where
        // the function exists, and for its name where it does not.
        match Engine::new().eval_query(format!("{name}()"), false) {
            Ok(_) => Ok(true),
            Err(error) => Ok(!error.to_string().contains("could not find function")),
        }
    })
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("REGORUS", "0.14.1")?;
    module.add("NativeError", module.py().get_type::<NativeError>())?;
    module.add_class::<Policy>()?;
    module.add_class::<projection::Projection>()?;
    module.add_function(wrap_pyfunction!(parse, module)?)?;
    module.add_function(wrap_pyfunction!(has_builtin, module)?)?;
    module.add_class::<cloak::Cloak>()?;
    module.add_function(wrap_pyfunction!(leaves::subtrees, module)?)?;
    module.add_function(wrap_pyfunction!(leaves::nodes_fit, module)?)?;
    module.add_function(wrap_pyfunction!(leaves::entry, module)?)?;
    module.add_function(wrap_pyfunction!(plain::plain, module)?)?;
    module.add_function(wrap_pyfunction!(plain::fingerprint, module)?)?;
    Ok(())
}
