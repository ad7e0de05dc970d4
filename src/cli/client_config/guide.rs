//! Files to put somewhere, with words on how.

use serde::Serialize;

use super::service::Service;

/// Width of the notes, in characters.
const WIDTH: usize = 100;

#[derive(Serialize)]
pub(super) struct Guide {
    pub client: &'static str,
    pub url: String,
    /// Sentences, each a paragraph.
    pub notes: Vec<String>,
    pub files: Vec<File>,
}

#[derive(Serialize)]
pub(super) struct File {
    pub path: String,
    pub content: String,
}

impl Guide {
    pub fn new(client: &'static str, service: &Service) -> Self {
        Self { client, url: service.url().to_owned(), notes: Vec::new(), files: Vec::new() }
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub fn file(&mut self, path: impl Into<String>, content: impl Into<String>) {
        self.files.push(File { path: path.into(), content: content.into() });
    }

    /// Upstreams that no mirror setting of any client reaches.
    pub fn note_names_without_host(&mut self, service: &Service) {
        if !service.without_host.is_empty() {
            let names: Vec<_> =
                service.without_host.iter().map(|name| format!("{}/{name}/...", service.address())).collect();
            self.note(format!(
                "Upstreams that no host stands for are pulled by their whole name: {}",
                names.join(", ")
            ));
        }
    }

    /// What a client needs so that it is not refused, which it does not tell: it goes to the registry itself. `login` and `certificate` say
    /// how this client shows one.
    pub fn note_access(&mut self, service: &Service, login: &str, certificate: &str) {
        let refused = "A client that is refused goes to the registry itself and says nothing.";
        if service.wanted.login {
            self.note(format!("Take care: this service wants a login. {refused} {login}"));
        }
        if service.wanted.certificate {
            self.note(format!("Take care: this service wants a certificate of its client. {refused} {certificate}"));
        }
    }

    /// Notes and paths as comments between the files.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            text.push_str(&comment(note));
            text.push_str("#\n");
        }
        for (index, File { path, content }) in self.files.iter().enumerate() {
            let newline = if index > 0 { "\n" } else { "" };
            text.push_str(&format!("{newline}# {path}\n{content}"));
        }
        text
    }
}

fn comment(note: &str) -> String {
    let mut text = String::new();
    for paragraph in note.lines() {
        // What is indented is to be copied as it stands.
        if paragraph.starts_with(' ') {
            text.push_str(&format!("#{paragraph}\n"));
            continue;
        }
        let mut line = String::from("#");
        for word in paragraph.split(' ') {
            if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > WIDTH {
                text.push_str(&line);
                text.push('\n');
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}
