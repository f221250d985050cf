//! What a person sees while it goes on: in place on a terminal, line by line elsewhere, nothing for scripts.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use tokio::time::Instant;

use super::look::Look;
use super::paint::Paint;

/// How wide the lines are.
const WIDTH: usize = 78;
/// Where the durations begin.
const DURATIONS: usize = WIDTH - 9;

/// The place where the story is shown. A writer that fails (a closed pipe) does not stop the story: the verdict counts.
pub struct Screen {
    out: Option<Box<dyn Write + Send>>,
    paint: Paint,
    /// Lines are redrawn in place.
    live: bool,
    /// Lines on the terminal that will be redrawn.
    drawn: usize,
    frame: usize,
    step: Option<(String, Instant)>,
}

impl Screen {
    /// A screen; `live` where it is a terminal that nothing else writes to.
    pub fn new(out: Option<Box<dyn Write + Send>>, paint: Paint, live: bool) -> Self {
        Screen { out, paint, live, drawn: 0, frame: 0, step: None }
    }

    /// Colours and symbols that fit this screen.
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// Whether somebody watches it change.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Writes text as it is.
    pub fn write(&mut self, text: &str) {
        self.clear();
        self.put(text);
    }

    fn put(&mut self, text: &str) {
        if let Some(out) = &mut self.out {
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    }

    /// Takes away what was drawn in place.
    pub fn clear(&mut self) {
        if self.drawn > 0 {
            let up = "\x1b[1A\x1b[2K".repeat(self.drawn);
            self.put(&format!("\r\x1b[2K{up}"));
            self.drawn = 0;
        }
    }

    /// A step begins.
    pub fn begin(&mut self, title: &str) {
        self.step = Some((title.to_owned(), Instant::now()));
        self.tick(None);
    }

    /// It goes on.
    pub fn tick(&mut self, look: Option<&Look>) {
        let Some((title, since)) = self.step.clone().filter(|_| self.live) else { return };
        self.clear();
        self.frame += 1;
        let paint = self.paint;
        let spinner = paint.spinner(self.frame);
        let mut text = line(&spinner, &title, Some(since.elapsed()), &paint);
        if let Some(look) = look {
            text.push_str(&format!("     {}\n", look.line(&paint)));
        }
        self.drawn = text.matches('\n').count();
        // Lines that are cut off at the edge of a narrow terminal can be taken away again; wrapped ones cannot.
        self.put(&format!("\x1b[?7l{text}\x1b[?7h"));
    }

    /// The step is done. `title` replaces what was announced, where something is to be said about the outcome.
    pub fn done(&mut self, title: Option<&str>) {
        let Some((announced, since)) = self.step.take() else { return };
        let text = line(&self.paint.good(), title.unwrap_or(&announced), Some(since.elapsed()), &self.paint);
        self.write(&text);
    }

    /// A remark to the last step.
    pub fn note(&mut self, text: &str) {
        let text = format!("     {}\n", self.paint.dim(text));
        self.write(&text);
    }

    /// A disaster.
    pub fn disaster(&mut self, text: &str) {
        let text = line(&self.paint.blow(), &self.paint.red(text), None, &self.paint);
        self.write(&text);
    }

    /// The step came to a bad end. Returns what it was.
    pub fn failed(&mut self, error: &dyn Display) -> String {
        let (title, since) = match self.step.take() {
            Some((title, since)) => (title, Some(since)),
            None => ("the demo".to_owned(), None),
        };
        let mut text = line(&self.paint.bad(), &title, since.map(|at| at.elapsed()), &self.paint);
        for part in folded(&error.to_string(), WIDTH - 5) {
            text.push_str(&format!("     {part}\n"));
        }
        self.write(&text);
        title
    }
}

/// A sign, a text, and how long it took at the right edge.
fn line(sign: &str, text: &str, took: Option<Duration>, paint: &Paint) -> String {
    let Some(took) = took else { return format!("  {sign} {text}\n") };
    let text = format!("{text:<width$}", width = DURATIONS - 5);
    format!("  {sign} {text} {}\n", paint.dim(&format!("{:>7}", seconds(took))))
}

/// A duration as people read it: `1.4 s`.
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Text in lines of at most `width` characters, where it has blanks to break at.
pub fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |line| line.chars().count());
        match lines.last_mut() {
            Some(line) if last > 0 && last + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(line) if last == 0 => line.push_str(word),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Tape(Arc<Mutex<Vec<u8>>>);

    impl Write for Tape {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(live: bool, paint: Paint) -> String {
        let tape = Tape::default();
        let mut screen = Screen::new(Some(Box::new(tape.clone())), paint, live);
        screen.begin("Fail over");
        screen.tick(None);
        screen.done(Some("Failed over"));
        screen.note("38 records lost");
        screen.disaster("dr1 is gone");
        let bytes = tape.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_pipe_gets_plain_lines_of_finished_steps() {
        let text = shown(false, Paint::PLAIN);
        assert!(text.is_ascii() && !text.contains('\x1b'), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("  ok Failed over ") && lines[0].ends_with("0.0 s"), "{text}");
        assert_eq!(lines[1..], ["     38 records lost", "  ** dr1 is gone"]);
        assert!(lines.iter().all(|line| line.len() < 80), "{text}");
    }

    #[test]
    fn a_terminal_is_redrawn_and_no_color_leaves_it_without_colours() {
        let plain = shown(true, Paint { colours: false, unicode: true });
        assert!(plain.contains("\x1b[1A") && !plain.contains("\x1b[0m"), "{plain:?}");
        let coloured = shown(true, Paint { colours: true, unicode: true });
        assert!(coloured.contains("\x1b[0m"), "{coloured:?}");
    }

    #[test]
    fn long_texts_are_folded_at_blanks() {
        assert_eq!(folded("one two three", 7), ["one two", "three"]);
        assert_eq!(folded("", 7), [""]);
    }
}
