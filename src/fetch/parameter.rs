//! The parameters of a URL.

use reqwest::Url;
use url::form_urlencoded;

/// Sets a parameter of `url`, which has it once then; the others stay as they are written.
pub fn set_parameter(url: &mut Url, name: &str, value: &str) {
    let is_it = |part: &&str| form_urlencoded::parse(part.as_bytes()).next().is_some_and(|(found, _)| found == name);
    let others: Vec<&str> = url.query().unwrap_or_default().split('&').filter(|part| !part.is_empty()).collect();
    let others: Vec<&str> = others.into_iter().filter(|part| !is_it(part)).collect();
    let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
    let query = others.into_iter().chain([pair.as_str()]).collect::<Vec<_>>().join("&");
    url.set_query(Some(&query));
}
