//! stub
#[derive(Default, Debug)]
pub struct Redactor(Vec<String>);
impl Redactor {
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        Self(secrets.into_iter().map(|s| s.as_ref().to_owned()).collect())
    }
    pub fn secrets(&self) -> &[String] {
        &self.0
    }
    pub fn redact(&self, bytes: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        for s in &self.0 {
            text = text.replace(s.as_str(), "***");
        }
        text
    }
    pub fn redact_cut(&self, bytes: &[u8]) -> String {
        self.redact(bytes)
    }
    pub fn redact_header(&self, _name: &str, value: &[u8]) -> String {
        self.redact(value)
    }
}
