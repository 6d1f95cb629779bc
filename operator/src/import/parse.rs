//! Reads a command line as `vic-machine` does: Go's flags, with one dash or two.

use std::collections::BTreeMap;
use std::fmt;

use super::options::{OPTIONS, Opt, Takes, named};
use super::values;

/// One thing that is wrong with a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The option, or the word that is none.
    pub option: String,
    /// The rule that is broken.
    pub rule: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.option, self.rule)
    }
}

/// What is wrong so far: all of it is told at once.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Keeps a problem of an option.
    pub fn note(&mut self, option: &str, rule: impl Into<String>) {
        let problem = Problem {
            option: format!("--{option}"),
            rule: rule.into(),
        };
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// Keeps what is wrong with an option, and hands on what is right.
    pub fn take<T>(&mut self, option: &str, outcome: Result<T, String>) -> Option<T> {
        outcome.map_err(|rule| self.note(option, rule)).ok()
    }

    /// What is right, if nothing was wrong.
    ///
    /// # Errors
    /// All that was wrong.
    pub fn conclude<T>(self, value: Option<T>) -> Result<T, Vec<Problem>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.0),
        }
    }

    fn word(&mut self, word: &str, rule: &str) {
        self.0.push(Problem {
            option: word.to_owned(),
            rule: rule.to_owned(),
        });
    }
}

/// A command line that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A VCH is to be made.
    Create(Given),
    /// Help is asked for.
    Help,
}

/// Options as they were given, each checked for what it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given(BTreeMap<&'static str, Vec<String>>);

impl Given {
    /// Whether an option was given at all.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The text of an option; an empty one says nothing.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let last = self.0.get(name)?.last()?;
        (!last.is_empty()).then_some(last.as_str())
    }

    /// The texts of an option that may be given several times.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(String::as_str)
    }

    /// Whether a switch is on.
    #[must_use]
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|text| values::boolean(text) == Ok(true))
    }

    /// The number of an option.
    #[must_use]
    pub fn whole(&self, name: &str) -> Option<i64> {
        values::whole(self.text(name)?).ok()
    }
}

/// Reads what follows `--`: perhaps the program's name, then `create` and its options.
///
/// # Errors
/// All that is no option, or has a value that its option does not take.
pub fn read(words: &[String], env: impl Fn(&str) -> Option<String>) -> Result<Line, Vec<Problem>> {
    let mut problems = Problems::default();
    let mut words = words.iter().map(String::as_str).peekable();
    if words.peek().is_some_and(|word| is_program(word)) {
        words.next();
    }
    match words.next() {
        Some("create") => {}
        Some("help" | "-h" | "--help" | "-help") => return Ok(Line::Help),
        Some(word) => {
            problems.word(word, "only vic-machine create can be imported");
            return problems.conclude(None);
        }
        None => {
            problems.word("create", "the command line has no words");
            return problems.conclude(None);
        }
    }
    let mut given = Given::default();
    while let Some(word) = words.next() {
        let plain = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
        let Some(plain) = plain.filter(|plain| !plain.is_empty()) else {
            problems.word(word, "is no option, and create takes nothing else");
            continue;
        };
        let (name, inline) = match plain.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (plain, None),
        };
        if matches!(name, "help" | "h") {
            return Ok(Line::Help);
        }
        let Some(option) = named(name) else {
            problems.word(word, unknown(name));
            continue;
        };
        let value = match (inline, option.takes) {
            (Some(value), _) => Some(value),
            (None, Takes::Nothing) => Some("true"),
            (None, _) => words.next(),
        };
        match value {
            Some(value) => keep(&mut given, option, value, &mut problems),
            None => problems.note(option.name, "needs a value"),
        }
    }
    for option in OPTIONS {
        let value = option.env.and_then(&env).filter(|value| !value.is_empty());
        if let Some(value) = value.filter(|_| !given.has(option.name)) {
            keep(&mut given, option, &value, &mut problems);
        }
    }
    if given.is_on("extended-help") {
        return Ok(Line::Help);
    }
    problems.conclude(Some(Line::Create(given)))
}

/// `vic-machine`, `./vic-machine-linux`, `C:\vic\vic-machine-windows.exe`
fn is_program(word: &str) -> bool {
    let file = word.rsplit(['/', '\\']).next().unwrap_or(word);
    file.starts_with("vic-machine")
}

/// What to say of a name that release 1.5.8 does not know.
fn unknown(name: &str) -> &'static str {
    match name {
        "use-rp" => "is of releases up to 1.2, and needs nothing: a VCH has a resource pool of its own",
        "container-store" | "cs" => "was never implemented by vic-machine",
        _ => "is no option of vic-machine create 1.5.8",
    }
}

fn keep(given: &mut Given, option: &'static Opt, value: &str, problems: &mut Problems) {
    if problems.take(option.name, option.check(value)).is_some() {
        given.0.entry(option.name).or_default().push(value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Line, Vec<Problem>> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        read(&words, |name| {
            (name == "VIC_MACHINE_USER").then(|| "of-the-environment".to_owned())
        })
    }

    fn given(text: &str) -> Given {
        match line(text).unwrap() {
            Line::Create(given) => given,
            Line::Help => panic!("help"),
        }
    }

    #[test]
    fn one_dash_or_two_a_blank_or_an_equals_sign() {
        for text in [
            "create --name vch1 --no-tls",
            "create -name=vch1 -k",
            "create -n vch1 --no-tls=true",
            "vic-machine-linux create --name=other --name vch1 -no-tls=1",
            "/opt/vic/vic-machine create -n=vch1 -k=T",
        ] {
            let given = given(text);
            assert_eq!(
                (given.text("name"), given.is_on("no-tls")),
                (Some("vch1"), true),
                "{text}"
            );
        }
        assert!(!given("create --no-tls=false").is_on("no-tls"));
    }

    #[test]
    fn lists_grow_and_numbers_are_numbers() {
        let given = given("create --dns-server 10.0.0.1 --dns-server=10.0.0.2 --cpu 100 --cpu 200");
        assert_eq!(
            given.texts("dns-server").collect::<Vec<_>>(),
            ["10.0.0.1", "10.0.0.2"]
        );
        assert_eq!(given.whole("cpu"), Some(200));
        assert_eq!(given.whole("memory"), None);
    }

    #[test]
    fn the_environment_speaks_where_the_line_is_silent() {
        assert_eq!(given("create").text("user"), Some("of-the-environment"));
        assert_eq!(given("create -u root").text("user"), Some("root"));
    }

    #[test]
    fn older_names_are_known() {
        let given = given("create --cert-path ./certs --cert a --key b");
        assert_eq!(given.text("tls-cert-path"), Some("./certs"));
        assert!(given.has("tls-server-cert") && given.has("tls-server-key"));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_with_its_name() {
        let problems = line("create --nmae vch1 --cpu fast --no-tls=maybe --use-rp --name").unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        for (part, line) in [
            "--nmae: is no option",
            "vch1: is no option",
            "--cpu: fast is no whole number",
            "--no-tls: maybe is neither",
            "--use-rp: is of releases up to 1.2",
            "--name: needs a value",
        ]
        .iter()
        .zip(&told)
        {
            assert!(line.starts_with(part), "{line}");
        }
        assert_eq!(told.len(), 6);
    }

    #[test]
    fn help_is_help_and_other_commands_are_refused() {
        for text in [
            "--help",
            "create -h",
            "create --name a --help",
            "create -x",
            "vic-machine help",
        ] {
            assert_eq!(line(text), Ok(Line::Help), "{text}");
        }
        for text in ["configure --name a", "", "vic-machine", "delete"] {
            assert!(line(text).is_err(), "{text}");
        }
    }
}
