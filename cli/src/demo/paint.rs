//! Colours and symbols, where the place of output takes them.

use std::env;

/// What may be used to make text pleasant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    /// Colours may be used.
    pub colours: bool,
    /// Characters beyond ASCII may be used.
    pub unicode: bool,
}

impl Paint {
    /// Plain text.
    pub const PLAIN: Paint = Paint { colours: false, unicode: false };

    /// What the environment allows: colours on a terminal unless `NO_COLOR` is set, Unicode where the locale has it.
    pub fn detect(terminal: bool) -> Self {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_lowercase();
        Paint {
            colours: terminal && !dumb && set("NO_COLOR").is_none(),
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    fn wrap(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub fn bold(&self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub fn dim(&self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub fn red(&self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub fn green(&self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub fn yellow(&self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub fn cyan(&self, text: &str) -> String {
        self.wrap("36", text)
    }

    /// What stands before something that went well.
    pub fn good(&self) -> String {
        self.green(if self.unicode { "✔ " } else { "ok" })
    }

    /// What stands before something that did not.
    pub fn bad(&self) -> String {
        self.red(if self.unicode { "✘ " } else { "!!" })
    }

    /// What stands before a disaster.
    pub fn blow(&self) -> String {
        self.red(if self.unicode { "⚡" } else { "**" })
    }

    /// A frame of the sign that something goes on.
    pub fn spinner(&self, frame: usize) -> String {
        const DOTS: [&str; 10] = ["⠋ ", "⠙ ", "⠹ ", "⠸ ", "⠼ ", "⠴ ", "⠦ ", "⠧ ", "⠇ ", "⠏ "];
        const BARS: [&str; 4] = ["| ", "/ ", "- ", "\\ "];
        self.cyan(if self.unicode { DOTS[frame % DOTS.len()] } else { BARS[frame % BARS.len()] })
    }
}
