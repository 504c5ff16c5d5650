//! Filters of the templates: values as people read them.

use askama::filters::HtmlSafeOutput;
use foundation::html;
use foundation::text::Day;
use time::{Date, Month, OffsetDateTime};

/// A moment in UTC, also for programs.
#[askama::filter_fn]
pub fn moment(value: &OffsetDateTime, _: &dyn askama::Values) -> askama::Result<HtmlSafeOutput<String>> {
    let utc = value.to_offset(time::UtcOffset::UTC);
    let (date, hour, minute) = (day_of(utc.date()), utc.hour(), utc.minute());
    let machine = format!("{}T{:02}:{:02}:{:02}Z", iso(utc.date()), utc.hour(), utc.minute(), utc.second());
    Ok(HtmlSafeOutput(format!("<time datetime=\"{machine}\">{date}, {hour:02}:{minute:02} UTC</time>")))
}

/// A day, also for programs.
#[askama::filter_fn]
pub fn day(value: &Date, _: &dyn askama::Values) -> askama::Result<HtmlSafeOutput<String>> {
    Ok(HtmlSafeOutput(format!("<time datetime=\"{}\">{}</time>", iso(*value), day_of(*value))))
}

/// A day as a form's field has it; nothing where there is none.
#[askama::filter_fn]
pub fn iso_or_nothing(value: &Option<Day>, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(value.map(|day| iso(day.date())).unwrap_or_default())
}

/// What there is; nothing where there is none.
#[askama::filter_fn]
pub fn text<T: std::fmt::Display>(value: &Option<T>, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(value.as_ref().map(T::to_string).unwrap_or_default())
}

/// Text in paragraphs, as it was typed: an empty line ends one.
#[askama::filter_fn]
pub fn paragraphs(
    value: impl std::fmt::Display,
    _: &dyn askama::Values,
) -> askama::Result<HtmlSafeOutput<String>> {
    let text = html::escape(&value.to_string());
    let paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
    let html = paragraphs.map(|paragraph| format!("<p>{}</p>", paragraph.replace('\n', "<br>")));
    Ok(HtmlSafeOutput(html.collect()))
}

/// `2026-12-24`, as a form's field has it.
pub fn iso(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

fn day_of(date: Date) -> String {
    let month = match date.month() {
        Month::January => "Jan",
        Month::February => "Feb",
        Month::March => "Mar",
        Month::April => "Apr",
        Month::May => "May",
        Month::June => "Jun",
        Month::July => "Jul",
        Month::August => "Aug",
        Month::September => "Sep",
        Month::October => "Oct",
        Month::November => "Nov",
        Month::December => "Dec",
    };
    format!("{} {month} {}", date.day(), date.year())
}
