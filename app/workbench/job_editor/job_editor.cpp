// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/job_editor/job_editor.h"

#include "app/workbench/engine_link.h"
#include "app/workbench/icons.h"
#include "app/workbench/job_editor/file_list_field.h"
#include "app/workbench/job_editor/job_schema.h"
#include "app/workbench/job_editor/plan_panel.h"
#include "app/workbench/job_editor/settings_form.h"
#include "core/base/files.h"
#include "core/base/paths.h"
#include "core/protocol/job.h"

#include <QComboBox>
#include <QDir>
#include <QFileDialog>
#include <QFileInfo>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QMenu>
#include <QPushButton>
#include <QScrollArea>
#include <QSignalBlocker>
#include <QToolButton>

namespace rankscope::workbench
{

using base::Json;
using base::OrderedJson;

namespace
{

constexpr int planDelay = 200; ///< ms after the last change
constexpr int formWidth = 720;

QStringList texts(const Json& list)
{
    QStringList result;
    if (list.is_array())
        for (const Json& item : list)
            if (item.is_string())
                result << QString::fromStdString(item.get<std::string>());
    return result;
}

Json part(const Json& object, const char* key)
{
    const auto found = object.find(key);
    return found != object.end() && found->is_object() ? *found : Json::object();
}

QLabel* caption(const QString& text, QWidget* field, QWidget* parent)
{
    auto* label = new QLabel(text, parent);
    label->setFixedWidth(SettingsForm::captionWidth);
    label->setBuddy(field);
    return label;
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

JobEditor::JobEditor(EngineLink* engine, QWidget* parent)
    : QWidget(parent),
      m_engine(engine),
      m_families(installedFamilies())
{
    auto* row = new QHBoxLayout(this);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(0);
    auto* scroll = new QScrollArea(this);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    scroll->setWidget(makeForm());
    m_plan = new PlanPanel(this);
    m_plan->setFixedWidth(272);
    row->addWidget(scroll, 1);
    row->addWidget(m_plan);
    m_planTimer.setSingleShot(true);
    m_planTimer.setInterval(planDelay);
    connect(&m_planTimer, &QTimer::timeout, this, &JobEditor::requestPlan);
    connect(m_plan->launchButton(), &QPushButton::clicked, this, &JobEditor::launch);
    connect(m_engine, &EngineLink::planned, this,
            [this](quint64 ticket, const QString& json, const QString& error) {
                if (ticket != m_ticket)
                    return; // a newer plan is on its way
                if (error.isEmpty())
                    m_plan->showPlan(json);
                else
                    showRefusal(error);
            });
    connect(m_engine, &EngineLink::submitted, this, [this] {
        m_launching = false;
        m_plan->launchButton()->setEnabled(true);
    });
    chooseFamily(m_family->currentIndex());
}

QVBoxLayout* JobEditor::addSection(QVBoxLayout* column, const QString& title)
{
    auto* heading = new QLabel(title.toUpper(), this);
    heading->setProperty("role", "section");
    heading->setContentsMargins(0, 12, 0, 0);
    column->addWidget(heading);
    auto* frame = new QFrame(this);
    frame->setAutoFillBackground(true);
    frame->setBackgroundRole(QPalette::Base);
    auto* inside = new QVBoxLayout(frame);
    inside->setContentsMargins(16, 12, 16, 12);
    inside->setSpacing(8);
    column->addWidget(frame);
    return inside;
}

QWidget* JobEditor::makeForm()
{
    auto* page = new QWidget(this);
    auto* outer = new QHBoxLayout(page);
    outer->setContentsMargins(16, 8, 16, 16);
    auto* middle = new QWidget(page);
    middle->setMaximumWidth(formWidth);
    auto* column = new QVBoxLayout(middle);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(6);
    outer->addWidget(middle, 1);

    auto* head = new QHBoxLayout;
    head->setSpacing(8);
    auto* title = new QLabel(tr("New run"), middle);
    QFont large = font();
    large.setPointSizeF(large.pointSizeF() * 1.5);
    large.setBold(true);
    title->setFont(large);
    head->addWidget(title);
    head->addStretch(1);
    const auto button = [&](const QString& text, const QString& tip) {
        auto* made = new QToolButton(middle);
        made->setText(text);
        made->setToolTip(tip);
        head->addWidget(made);
        return made;
    };
    auto* presets = button(tr("Presets"), tr("Training settings for a purpose"));
    auto* menu = new QMenu(presets);
    menu->setToolTipsVisible(true);
    for (const JobPreset& preset : jobPresets()) {
        QAction* item = menu->addAction(preset.title, this, [this, preset] {
            Json training = m_trainingForm->values();
            training.update(preset.training);
            m_trainingForm->setValues(training);
            Json analysis = m_analysisForm->values();
            analysis.update(preset.analysis);
            m_analysisForm->setValues(analysis);
        });
        item->setToolTip(preset.toolTip);
    }
    presets->setMenu(menu);
    presets->setPopupMode(QToolButton::InstantPopup);
    auto* load = button(tr("Open job…"), tr("Fill the fields from a job file"));
    auto* save = button(tr("Save job…"), tr("Write the job as a file for rankscope-engine run"));
    auto* close = button(tr("Back to views"), tr("Leave this page; its fields stay as they are (Esc)"));
    connect(load, &QToolButton::clicked, this, [this] {
        const QString file = QFileDialog::getOpenFileName(this, tr("Open job"), {}, tr("Job files (*.json)"));
        if (!file.isEmpty())
            openJob(file);
    });
    connect(save, &QToolButton::clicked, this, &JobEditor::saveJob);
    connect(close, &QToolButton::clicked, this, &JobEditor::closeRequested);
    column->addLayout(head);

    makeModelSection(addSection(column, tr("Model")));
    makeDataSection(addSection(column, tr("Data")));
    makeFamilySection(addSection(column, tr("Adapter")));

    const auto addForm = [this](QVBoxLayout* section, const std::vector<protocol::SettingSchema>& schemas) {
        auto* form = new SettingsForm(this);
        form->setSchemas(schemas);
        section->addWidget(form);
        connect(form, &SettingsForm::edited, this, &JobEditor::changed);
        return form;
    };
    m_trainingForm = addForm(addSection(column, tr("Training")), trainingSettings());
    QVBoxLayout* looking = addSection(column, tr("Evaluation and analysis"));
    m_evaluationForm = addForm(looking, evaluationSettings());
    m_analysisForm = addForm(looking, analysisSettings());
    QVBoxLayout* device = addSection(column, tr("Device"));
    m_device = new QComboBox(this);
    m_device->setEditable(true);
    m_device->addItems({QStringLiteral("auto"), QStringLiteral("cpu"), QStringLiteral("cuda")});
    m_device->setToolTip(tr("auto takes a GPU where there is one (default); cuda:1 names a second GPU"));
    m_device->setAccessibleName(tr("Device"));
    m_device->setMaximumWidth(160);
    auto* deviceRow = new QHBoxLayout;
    deviceRow->setSpacing(8);
    deviceRow->addWidget(caption(tr("Train on"), m_device, this));
    deviceRow->addWidget(m_device);
    deviceRow->addStretch(1);
    device->addLayout(deviceRow);
    connect(m_device, &QComboBox::currentTextChanged, this, &JobEditor::changed);
    column->addStretch(1);
    return page;
}

void JobEditor::makeModelSection(QVBoxLayout* column)
{
    auto* form = new QFormLayout;
    m_modelForm = form;
    form->setSpacing(8);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    m_name = new QLineEdit(this);
    m_name->setPlaceholderText(tr("made from family and data"));
    m_name->setToolTip(tr("Name in the list of runs and of the run directory"));
    m_name->setAccessibleName(tr("Name"));
    m_model = new QComboBox(this);
    m_model->setEditable(true);
    m_model->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
    m_model->setToolTip(tr("A GGUF file, or a folder with config.json and safetensors"));
    m_model->setAccessibleName(tr("Base model"));
    if (const auto standard = base::defaultModel(); !standard.empty())
        m_model->addItem(QString::fromStdString(standard.string()));
    auto* browse = new QToolButton(this);
    browse->setText(tr("Browse…"));
    auto* kinds = new QMenu(browse);
    kinds->addAction(tr("GGUF file…"), this, [this] {
        const QString file =
            QFileDialog::getOpenFileName(this, tr("Base model"), {}, tr("GGUF models (*.gguf)"));
        if (!file.isEmpty())
            m_model->setEditText(file);
    });
    kinds->addAction(tr("Hugging Face folder…"), this, [this] {
        const QString folder = QFileDialog::getExistingDirectory(this, tr("Base model"));
        if (!folder.isEmpty())
            m_model->setEditText(folder);
    });
    browse->setMenu(kinds);
    browse->setPopupMode(QToolButton::InstantPopup);
    browse->setToolTip(tr("Choose a base model from disk"));
    m_dtype = new QComboBox(this);
    m_dtype->addItems({QStringLiteral("auto"), QStringLiteral("float32"), QStringLiteral("bfloat16")});
    m_dtype->setToolTip(tr("How the frozen base model is stored and computed (default: auto)"));
    m_dtype->setAccessibleName(tr("Data type"));
    m_modelError = new QLabel(this);
    m_modelError->setProperty("role", "error");
    m_modelError->setWordWrap(true);
    auto* modelRow = new QHBoxLayout;
    modelRow->setSpacing(8);
    modelRow->addWidget(m_model, 1);
    modelRow->addWidget(browse);
    modelRow->addWidget(m_dtype);
    form->addRow(caption(tr("Name"), m_name, this), m_name);
    form->addRow(caption(tr("Base model"), m_model, this), modelRow);
    form->addRow(caption({}, nullptr, this), m_modelError);
    column->addLayout(form);
    connect(m_name, &QLineEdit::textEdited, this, &JobEditor::changed);
    connect(m_model, &QComboBox::editTextChanged, this, &JobEditor::changed);
    connect(m_dtype, &QComboBox::currentIndexChanged, this, &JobEditor::changed);
}

void JobEditor::makeDataSection(QVBoxLayout* column)
{
    auto* form = new QFormLayout;
    form->setSpacing(8);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    m_train = new FileListField(
        tr("Training files"),
        tr("Rows with instruction, input and output, or with messages. Each file is a task."), this);
    m_test =
        new FileListField(tr("Test files"), tr("Evaluated before and after the training; by task"), this);
    form->addRow(caption(tr("Training"), m_train, this), m_train);
    form->addRow(caption(tr("Test"), m_test, this), m_test);
    column->addLayout(form);
    m_dataForm = new SettingsForm(this);
    m_dataForm->setSchemas(dataSettings());
    column->addWidget(m_dataForm);
    connect(m_train, &FileListField::edited, this, &JobEditor::changed);
    connect(m_test, &FileListField::edited, this, &JobEditor::changed);
    connect(m_dataForm, &SettingsForm::edited, this, &JobEditor::changed);
}

void JobEditor::makeFamilySection(QVBoxLayout* column)
{
    m_family = new QComboBox(this);
    m_family->setAccessibleName(tr("Family"));
    m_family->setToolTip(tr("How the adapter changes the weights; each family is a plugin"));
    for (const protocol::FamilyManifest& family : m_families)
        m_family->addItem(QString::fromStdString(family.title), QString::fromStdString(family.name));
    const int mixlora = m_family->findData(QStringLiteral("mixlora"));
    m_family->setCurrentIndex(mixlora >= 0 ? mixlora : 0);
    m_familyText = new QLabel(this);
    m_familyText->setProperty("role", "muted");
    m_familyText->setWordWrap(true);
    m_familyForm = new SettingsForm(this);
    auto* form = new QFormLayout;
    form->setSpacing(8);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    form->addRow(caption(tr("Family"), m_family, this), m_family);
    form->addRow(caption({}, nullptr, this), m_familyText);
    column->addLayout(form);
    column->addWidget(m_familyForm);
    connect(m_family, &QComboBox::currentIndexChanged, this, &JobEditor::chooseFamily);
    connect(m_familyForm, &SettingsForm::edited, this, &JobEditor::changed);
}

void JobEditor::chooseFamily(int index)
{
    if (index < 0 || index >= static_cast<int>(m_families.size())) {
        m_familyText->setText(
            tr("No adapter family was found. Families lie in the plugins folder beside the program; "
               "RANKSCOPE_PLUGINS names others."));
        return;
    }
    const protocol::FamilyManifest& family = m_families[static_cast<std::size_t>(index)];
    m_familyText->setText(QString::fromStdString(family.summary + "\n" + family.paper +
                                                 (family.link.empty() ? "" : ", " + family.link)));
    m_familyForm->setSchemas(family.settings);
    // What the family chosen before suggested goes with it, unless the user changed it.
    Json training = m_trainingForm->values();
    for (const auto& item : m_suggested.items()) {
        if (const auto now = training.find(item.key()); now != training.end() && *now == item.value())
            training.erase(now);
    }
    const auto steps = training.find("steps");
    const bool whole = steps != training.end() && steps->is_number_integer();
    m_suggested = family.suggestedTraining(whole ? steps->get<std::int64_t>() : 0);
    training.update(m_suggested);
    m_trainingForm->setValues(training);
    changed();
}

void JobEditor::start()
{
    m_name->setFocus(Qt::OtherFocusReason);
    changed();
}

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
    job["adapter"] = {{"family", m_family->currentData().toString().toStdString()},
                      {"settings", OrderedJson::object()}};
    add(job["adapter"]["settings"], m_familyForm->values());
    for (const auto& [key, form] :
         {std::pair{"training", m_trainingForm}, std::pair{"evaluation", m_evaluationForm},
          std::pair{"analysis", m_analysisForm}}) {
        job[key] = OrderedJson::object();
        add(job[key], form->values());
    }
    job["device"] = m_device->currentText().trimmed().toStdString();
    return job;
}

QString JobEditor::problem() const
{
    if (m_family->currentIndex() < 0)
        return tr("No adapter family is installed");
    if (m_model->currentText().trimmed().isEmpty())
        return tr("Choose a base model");
    for (const SettingsForm* form :
         {m_familyForm, m_trainingForm, m_dataForm, m_evaluationForm, m_analysisForm})
        if (!form->valid())
            return tr("Correct the fields marked in the form");
    const auto parsed = protocol::Job::fromJson(Json::parse(job().dump()));
    return parsed ? QString() : QString::fromStdString(parsed.error().message);
}

void JobEditor::showErrors()
{
    const QString model = m_model->currentText().trimmed();
    const bool installed =
        !model.isEmpty() &&
        QFileInfo::exists(QString::fromStdString(
            base::resolveModel(model.toStdString(), QDir::currentPath().toStdString()).string()));
    const bool wrong = model.isEmpty() || !installed;
    m_modelError->setText(!wrong            ? QString()
                          : model.isEmpty() ? tr("Choose a GGUF file or a Hugging Face folder")
                                            : tr("%1 does not exist").arg(model));
    m_modelForm->setRowVisible(m_modelError, wrong);
    QStringList missing;
    for (const QString& file : m_train->files() + m_test->files())
        if (!QFileInfo::exists(file))
            missing << file;
    m_train->showError(missing.isEmpty() ? QString()
                                         : tr("Does not exist: %1").arg(missing.join(QStringLiteral(", "))));
}

void JobEditor::changed()
{
    if (m_plan == nullptr)
        return; // still being built
    m_launching = false;
    m_plan->launchButton()->setEnabled(true);
    showErrors();
    m_planTimer.start();
}

void JobEditor::requestPlan()
{
    if (!isVisible())
        return;
    const QString wrong = problem();
    if (!wrong.isEmpty() || !m_modelError->text().isEmpty()) {
        ++m_ticket; // an answer on its way is out of date
        m_plan->showProblem(wrong);
        return;
    }
    m_plan->showWaiting();
    m_engine->plan(++m_ticket, QString::fromStdString(job().dump()), QDir::currentPath());
}

void JobEditor::launch()
{
    if (m_launching)
        return;
    showErrors();
    QString wrong = problem();
    if (wrong.isEmpty() && !m_modelError->text().isEmpty())
        wrong = m_modelError->text();
    if (wrong.isEmpty() && m_train->files().isEmpty()) {
        wrong = tr("Add at least one training file");
        m_train->showError(wrong);
    }
    if (!wrong.isEmpty()) {
        m_plan->showProblem(wrong);
        return;
    }
    m_launching = true;
    m_plan->launchButton()->setEnabled(false);
    m_plan->showProblem({});
    m_engine->submit(QString::fromStdString(job().dump()), QDir::currentPath());
}

void JobEditor::showRefusal(const QString& message)
{
    m_launching = false;
    m_plan->launchButton()->setEnabled(true);
    // "training.steps is 0, ..." or "rank is 0, ...": the first word names the field.
    const QString name = message.section(QLatin1Char(' '), 0, 0);
    const QString last = name.section(QLatin1Char('.'), -1);
    bool placed = false;
    if (name.startsWith(QLatin1String("training.")))
        placed = m_trainingForm->showErrorAt(last, message);
    else if (name.startsWith(QLatin1String("data.")))
        placed = m_dataForm->showErrorAt(last, message);
    else if (name.startsWith(QLatin1String("evaluation.")))
        placed = m_evaluationForm->showErrorAt(last, message);
    else if (name.startsWith(QLatin1String("analysis.")))
        placed = m_analysisForm->showErrorAt(last, message);
    else
        placed = m_familyForm->showErrorAt(last, message);
    m_plan->showProblem(placed ? tr("Correct the field %1").arg(last) : message);
}

bool JobEditor::setJobText(const QString& text, const QString& folder)
{
    const auto parsed = base::parseJson(text.toStdString());
    if (!parsed || !parsed->is_object()) {
        m_plan->showProblem(parsed ? tr("A job is a JSON object")
                                   : QString::fromStdString(parsed.error().message));
        return false;
    }
    const Json& job = *parsed;
    const Json model = part(job, "model");
    const Json data = part(job, "data");
    const Json adapter = part(job, "adapter");
    m_name->setText(QString::fromStdString(job.value("name", "")));
    if (model.contains("path")) {
        const QString path = QString::fromStdString(model.value("path", ""));
        const QString beside = absolute(path, folder);
        m_model->setEditText(QFileInfo::exists(beside) ? beside : path);
    }
    m_dtype->setCurrentText(QString::fromStdString(model.value("dtype", "auto")));
    m_train->setFiles(absolute(texts(data.value("train", Json::array())), folder));
    m_test->setFiles(absolute(texts(data.value("test", Json::array())), folder));
    m_dataForm->setValues(data);
    const int family = m_family->findData(QString::fromStdString(adapter.value("family", "lora")));
    if (family >= 0)
        m_family->setCurrentIndex(family);
    m_familyForm->setValues(part(adapter, "settings"));
    Json training = m_suggested; // for what the job does not say
    training.update(part(job, "training"));
    m_trainingForm->setValues(training);
    m_evaluationForm->setValues(part(job, "evaluation"));
    m_analysisForm->setValues(part(job, "analysis"));
    m_device->setEditText(QString::fromStdString(job.value("device", "auto")));
    changed();
    if (family < 0)
        m_plan->showProblem(
            tr("The family %1 is not installed").arg(QString::fromStdString(adapter.value("family", ""))));
    return family >= 0;
}

bool JobEditor::openJob(const QString& file)
{
    const auto text = base::readFile(file.toStdString(), 1 << 24);
    if (!text) {
        m_plan->showProblem(QString::fromStdString(text.error().message));
        return false;
    }
    return setJobText(QString::fromStdString(*text), QFileInfo(file).absolutePath());
}

void JobEditor::saveJob()
{
    const QString file = QFileDialog::getSaveFileName(this, tr("Save job"), QStringLiteral("job.json"),
                                                      tr("Job files (*.json)"));
    if (file.isEmpty())
        return;
    const Status status = base::writeFileAtomically(file.toStdString(), job().dump(2) + "\n");
    m_plan->showProblem(status ? QString() : QString::fromStdString(status.error().message));
}

void JobEditor::keyPressEvent(QKeyEvent* event)
{
    if (event->modifiers().testFlag(Qt::ControlModifier) &&
        (event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter)) {
        launch();
        return;
    }
    QWidget::keyPressEvent(event);
}

} // namespace rankscope::workbench
