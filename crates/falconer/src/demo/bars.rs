//! Shows how far the jobs are: bars on a terminal, a line now and then elsewhere.

use super::watch::Frame;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{sync::Mutex, time::Duration};

/// Frames a second, at the most.
const HERTZ: u8 = 12;
/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// Full, the parts of a cell, and empty.
const BLOCKS: &str = "█▉▊▋▌▍▎▏·";

/// Where progress is shown.
#[derive(Debug)]
pub(super) struct Display(Kind);

#[derive(Debug)]
enum Kind {
    Bars(Bars),
    Lines { jobs: u32, slots: u32, last: Mutex<Option<Duration>> },
}

#[derive(Debug)]
struct Bars {
    fired: ProgressBar,
    by_callback: ProgressBar,
    by_look: ProgressBar,
    at_fal: ProgressBar,
    slots: ProgressBar,
    unknown: ProgressBar,
    time: ProgressBar,
}

impl Display {
    /// Begins with nothing fired.
    pub(super) fn start(jobs: u32, slots: u32, plain: bool) -> Self {
        Self(if plain {
            Kind::Lines { jobs, slots, last: Mutex::new(None) }
        } else {
            Kind::Bars(Bars::start(jobs, slots))
        })
    }

    pub(super) fn show(&self, frame: &Frame) {
        match &self.0 {
            Kind::Bars(bars) => bars.show(frame),
            Kind::Lines { jobs, slots, last } => {
                let mut last = last.lock().expect("nothing panics while it holds this");
                let all_home = frame.progress.home() == i64::from(*jobs);
                if all_home || last.is_none_or(|last| frame.elapsed >= last + LINE_EVERY) {
                    *last = Some(frame.elapsed);
                    eprintln!("{}", line(frame, *jobs, *slots));
                }
            }
        }
    }

    /// Leaves the last reading where it is.
    pub(super) fn finish(&self) {
        if let Kind::Bars(bars) = &self.0 {
            bars.all().into_iter().for_each(ProgressBar::abandon);
            eprintln!();
        }
    }
}

impl Bars {
    fn start(jobs: u32, slots: u32) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(HERTZ));
        let bar = |name: &'static str, length: u32, colour: &str| {
            let template = format!("  {{prefix:<20}} {{bar:40.{colour}/dim}} {{msg}}");
            let style = ProgressStyle::with_template(&template).expect("a constant template");
            let bar = all.add(ProgressBar::new(u64::from(length)));
            bar.set_style(style.progress_chars(BLOCKS));
            bar.set_prefix(name);
            bar
        };
        let clock = ProgressBar::no_length();
        clock.set_style(ProgressStyle::with_template("  {msg:.dim}").expect("a constant template"));
        Self {
            fired: bar("fired", jobs, "blue"),
            by_callback: bar("home by callback", jobs, "green"),
            by_look: bar("home by reconciling", jobs, "yellow"),
            at_fal: bar("at fal", jobs, "cyan"),
            slots: bar("slots in use", slots, "magenta"),
            unknown: bar("unknown now", jobs, "red"),
            time: all.add(clock),
        }
    }

    fn all(&self) -> [&ProgressBar; 7] {
        [&self.fired, &self.by_callback, &self.by_look, &self.at_fal, &self.slots, &self.unknown, &self.time]
    }

    fn show(&self, frame: &Frame) {
        let progress = &frame.progress;
        let jobs = self.fired.length().unwrap_or_default();
        let slots = self.slots.length().unwrap_or_default();
        set(&self.fired, u64::from(frame.acknowledged), format!("{} of {jobs}", frame.acknowledged));
        set(&self.by_callback, count(progress.by_callback), progress.by_callback.to_string());
        let otherwise =
            if progress.otherwise > 0 { format!(" and {} never at fal", progress.otherwise) } else { String::new() };
        set(&self.by_look, count(progress.by_look), format!("{}{otherwise}", progress.by_look));
        set(&self.at_fal, count(progress.at_fal), format!("{}, {} wait", progress.at_fal, progress.waiting));
        set(&self.slots, u64::from(frame.busy), format!("{} of {slots}", frame.busy));
        set(&self.unknown, count(progress.unknown), progress.unknown.to_string());
        self.time.set_message(format!("{:.1} s", frame.elapsed.as_secs_f64()));
    }
}

fn set(bar: &ProgressBar, position: u64, message: String) {
    bar.set_position(position);
    bar.set_message(message);
}

fn count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or_default()
}

fn line(frame: &Frame, jobs: u32, slots: u32) -> String {
    let progress = &frame.progress;
    format!(
        "{:6.1} s  fired {} of {jobs}, home {} ({} by callback, {} by reconciling), at fal {}, slots {}/{slots}, unknown {}",
        frame.elapsed.as_secs_f64(),
        frame.acknowledged,
        progress.home(),
        progress.by_callback,
        progress.by_look,
        progress.at_fal,
        frame.busy,
        progress.unknown,
    )
}
