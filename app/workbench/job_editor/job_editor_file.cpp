// SPDX-License-Identifier: GPL-3.0-or-later
// The New run page as a job file, and back: what the page cannot take of a file is said, not left out
// silently.
#include "app/workbench/job_editor/file_list_field.h"
#include "app/workbench/job_editor/job_editor.h"
#include "app/workbench/job_editor/plan_panel.h"
#include "app/workbench/job_editor/settings_form.h"
#include "app/workbench/save_dialog.h"
#include "core/base/files.h"

#include <QComboBox>
#include <QDir>
#include <QFileInfo>
#include <QLabel>
#include <QLineEdit>

namespace rankscope::workbench
{

using base::Json;
using base::OrderedJson;

namespace
{

QString quoted(const Json& value)
{
    return QString::fromStdString(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

QString absolute(const QString& file, const QString& folder)
{
    return file.isEmpty() || folder.isEmpty() || QFileInfo(file).isAbsolute() ? file
                                                                              : QDir(folder).filePath(file);
}

QStringList absolute(QStringList files, const QString& folder)
{
    for (QString& file : files)
        file = absolute(file, folder);
    return files;
}

} // namespace

/// Reads a job's object field by field, and notes what the page has no place for.
class JobEditor::FileReader
{
public:
    FileReader(const Json& job, std::vector<FileProblem>& problems) : m_job(job), m_problems(problems) {}

    /// The object of that name; an empty one if it is missing or none.
    Json object(const Json& from, const QString& part, const char* key, const QString& path)
    {
        const auto found = from.find(key);
        if (found == from.end())
            return Json::object();
        if (found->is_object())
            return *found;
        wrong(part, path, *found, tr("must be an object"));
        return Json::object();
    }
    QString text(const Json& from, const QString& part, const char* key, const QString& path,
                 const QString& standard)
    {
        const auto found = from.find(key);
        if (found == from.end())
            return standard;
        if (found->is_string())
            return QString::fromStdString(found->get<std::string>());
        wrong(part, path, *found, tr("must be a text"));
        return standard;
    }
    QStringList texts(const Json& from, const QString& part, const char* key, const QString& path)
    {
        QStringList result;
        const auto found = from.find(key);
        if (found == from.end())
            return result;
        const bool list = found->is_array();
        for (const Json& item : list ? *found : Json::array())
            if (item.is_string())
                result << QString::fromStdString(item.get<std::string>());
        if (!list || static_cast<std::size_t>(result.size()) < found->size())
            wrong(part, path, *found, tr("must be a list of texts"));
        return result;
    }
    void unknown(const Json& from, const QString& part, const QString& prefix, const QStringList& known)
    {
        for (const auto& item : from.items())
            if (const QString key = QString::fromStdString(item.key()); !known.contains(key))
                m_problems.push_back({part, prefix + key, {}});
    }
    /// Puts the values into the form; `others` are keys that are no field of it.
    void fill(SettingsForm* form, const Json& values, const Json& given, const QString& part,
              const QString& prefix, const QStringList& others = {})
    {
        form->setValues(values);
        const Json shown = form->all();
        for (const auto& item : given.items()) {
            const QString key = QString::fromStdString(item.key());
            if (const auto now = shown.find(item.key()); now == shown.end()) {
                if (!others.contains(key))
                    m_problems.push_back({part, prefix + key, {}});
            } else if (*now != item.value()) {
                wrong(part, prefix + key, item.value(), tr("became %1").arg(quoted(*now)));
            }
        }
    }
    void wrong(const QString& part, const QString& path, const Json& value, const QString& what)
    {
        m_problems.push_back({part, path, tr("%1 is %2: it %3").arg(path, quoted(value).left(80), what)});
    }
    [[nodiscard]] const Json& job() const { return m_job; }

private:
    const Json& m_job;
    std::vector<FileProblem>& m_problems;
};

OrderedJson JobEditor::job() const
{
    OrderedJson job;
    if (!m_name->text().trimmed().isEmpty())
        job["name"] = m_name->text().trimmed().toStdString();
    job["model"] = {{"path", m_model->currentText().trimmed().toStdString()},
                    {"dtype", m_dtype->currentText().toStdString()}};
    OrderedJson data;
    const auto list = [](const QStringList& files) {
        OrderedJson result = OrderedJson::array();
        for (const QString& file : files)
            result.push_back(file.toStdString());
        return result;
    };
    data["train"] = list(m_train->files());
    data["test"] = list(m_test->files());
    const auto add = [](OrderedJson& object, const Json& values) {
        for (const auto& [key, value] : values.items())
            object[key] = value;
    };
    add(data, m_dataForm->values());
    job["data"] = data;
    const bool installed = m_family->currentIndex() >= 0;
    job["adapter"] = {
        {"family", installed ? m_family->currentData().toString().toStdString() : m_unknownFamily},
        {"settings", OrderedJson::object()}};
    add(job["adapter"]["settings"], installed ? m_familyForm->values() : m_unknownSettings);
    for (const auto& [key, form] :
         {std::pair{"training", m_trainingForm}, std::pair{"evaluation", m_evaluationForm},
          std::pair{"analysis", m_analysisForm}}) {
        job[key] = OrderedJson::object();
        add(job[key], form->values());
    }
    job["device"] = m_device->currentText().trimmed().toStdString();
    return job;
}

QString JobEditor::draft() const
{
    const QString text = QString::fromStdString(job().dump());
    return text == m_pristine ? QString() : text;
}

void JobEditor::restoreDraft(const QString& draft)
{
    if (draft.isEmpty())
        return;
    takeJob(draft, {}, tr("The last session"));
    m_before.clear(); // what stood there was nobody's
    m_undo->setEnabled(false);
}

void JobEditor::keepForUndo()
{
    m_before = QString::fromStdString(job().dump());
    m_undo->setEnabled(true);
}

void JobEditor::undo()
{
    const QString before = m_before;
    takeJob(before, {}, tr("What stood here before"));
}

bool JobEditor::setJobText(const QString& text, const QString& folder)
{
    return takeJob(text, folder, tr("The job"));
}

bool JobEditor::takeJob(const QString& text, const QString& folder, const QString& source)
{
    keepForUndo();
    m_fileSource = source;
    m_fileProblems.clear();
    const auto parsed = base::parseJson(text.toStdString());
    if (!parsed || !parsed->is_object()) {
        m_fileProblems.push_back(
            {{}, {}, parsed ? tr("a job is a JSON object") : QString::fromStdString(parsed.error().message)});
        showFileProblems();
        return false;
    }
    std::vector<FileProblem> problems; // noted last: filling the fields is no edit of the user's
    FileReader file(*parsed, problems);
    const Json& job = *parsed;
    file.unknown(job, {}, {},
                 {parts::name, parts::model, parts::data, parts::adapter, parts::training, parts::evaluation,
                  parts::analysis, parts::device, QString::fromLatin1(protocol::recordedKey)});
    // A name that the job would have been given anyway goes on following family and data.
    const QString name = file.text(job, parts::name, "name", parts::name, {});
    const auto whole = protocol::Job::fromJson(job);
    m_name->setText(whole && name.toStdString() == whole->defaultName() ? QString() : name);

    const Json model = file.object(job, parts::model, "model", parts::model);
    file.unknown(model, parts::model, QStringLiteral("model."),
                 {QStringLiteral("path"), QStringLiteral("dtype")});
    if (model.contains("path")) {
        const QString path = file.text(model, parts::model, "path", QStringLiteral("model.path"), {});
        const QString beside = absolute(path, folder);
        m_model->setEditText(QFileInfo::exists(beside) ? beside : path);
    }
    const QString dtype =
        file.text(model, parts::model, "dtype", QStringLiteral("model.dtype"), QStringLiteral("auto"));
    m_dtype->setCurrentText(dtype);
    if (m_dtype->currentText() != dtype)
        file.wrong(parts::model, QStringLiteral("model.dtype"), dtype.toStdString(),
                   tr("must be auto, float32 or bfloat16"));

    const Json data = file.object(job, parts::data, "data", parts::data);
    m_train->setFiles(absolute(file.texts(data, parts::data, "train", QStringLiteral("data.train")), folder));
    m_test->setFiles(absolute(file.texts(data, parts::data, "test", QStringLiteral("data.test")), folder));
    file.fill(m_dataForm, data, data, parts::data, QStringLiteral("data."),
              {QStringLiteral("train"), QStringLiteral("test")});

    const Json adapter = file.object(job, parts::adapter, "adapter", parts::adapter);
    file.unknown(adapter, parts::adapter, QStringLiteral("adapter."),
                 {QStringLiteral("family"), QStringLiteral("settings")});
    const QString family = file.text(adapter, parts::adapter, "family", QStringLiteral("adapter.family"),
                                     QStringLiteral("lora"));
    const Json settings =
        file.object(adapter, parts::adapter, "settings", QStringLiteral("adapter.settings"));
    const bool installed = takeFamily(family, settings);
    if (installed)
        file.fill(m_familyForm, settings, settings, parts::adapter, QStringLiteral("adapter.settings."));

    Json training = m_suggested; // for what the job does not say
    const Json given = file.object(job, parts::training, "training", parts::training);
    training.update(given);
    file.fill(m_trainingForm, training, given, parts::training, QStringLiteral("training."));
    const Json evaluation = file.object(job, parts::evaluation, "evaluation", parts::evaluation);
    file.fill(m_evaluationForm, evaluation, evaluation, parts::evaluation, QStringLiteral("evaluation."));
    const Json analysis = file.object(job, parts::analysis, "analysis", parts::analysis);
    file.fill(m_analysisForm, analysis, analysis, parts::analysis, QStringLiteral("analysis."));
    m_device->setEditText(file.text(job, parts::device, "device", parts::device, QStringLiteral("auto")));

    m_fileProblems = std::move(problems);
    showFileProblems();
    showErrors();
    if (const Wrong wrong = firstWrong(); wrong.at != nullptr && m_fileProblems.empty())
        reveal(wrong.at);
    m_planTimer.start();
    return installed;
}

void JobEditor::showFileProblems()
{
    QStringList unknown;
    QStringList lines;
    for (const FileProblem& problem : m_fileProblems)
        if (problem.text.isEmpty())
            unknown << problem.key;
        else
            lines << problem.text;
    if (!unknown.isEmpty())
        lines.prepend(tr("not known and left out: %1").arg(unknown.join(QStringLiteral(", "))));
    m_fileError->setText(
        lines.isEmpty() ? QString() : m_fileSource + QStringLiteral(": ") + lines.join(QLatin1Char('\n')));
    m_fileError->setVisible(!lines.isEmpty());
}

bool JobEditor::openJob(const QString& file)
{
    const auto text = base::readFile(file.toStdString(), 1 << 24);
    if (!text) {
        m_fileSource = QFileInfo(file).fileName();
        m_fileProblems = {{{}, {}, QString::fromStdString(text.error().message)}};
        showFileProblems();
        return false;
    }
    return takeJob(QString::fromStdString(*text), QFileInfo(file).absolutePath(), QFileInfo(file).fileName());
}

void JobEditor::saveJob()
{
    const QString file =
        askWhereToSave(this, tr("Save job"), QStringLiteral("job.json"), tr("Job files (*.json)"));
    if (file.isEmpty())
        return;
    const Status status = base::writeFileAtomically(file.toStdString(), job().dump(2) + "\n");
    m_plan->showProblem(status ? QString() : QString::fromStdString(status.error().message));
}

} // namespace rankscope::workbench
