// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/job_editor/job_editor.h"

#include "app/workbench/engine_link.h"
#include "app/workbench/job_editor/file_list_field.h"
#include "app/workbench/job_editor/job_schema.h"
#include "app/workbench/job_editor/plan_panel.h"
#include "app/workbench/job_editor/settings_form.h"
#include "app/workbench/job_editor/time_estimate.h"
#include "core/base/paths.h"
#include "core/protocol/job.h"

#include <QComboBox>
#include <QDir>
#include <QFileInfo>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QPointer>
#include <QPushButton>
#include <QScrollArea>
#include <QSignalBlocker>

#include <algorithm>
#include <filesystem>
#include <functional>

namespace rankscope::workbench
{

using base::Json;

namespace
{

constexpr int planDelay = 200; ///< ms after the last change

QString missingOf(const QStringList& files)
{
    QStringList missing;
    for (const QString& file : files)
        if (!QFileInfo::exists(file))
            missing << file;
    return missing.isEmpty() ? QString()
                             : QObject::tr("Does not exist: %1").arg(missing.join(QStringLiteral(", ")));
}

bool namesOne(const QString& message, const QStringList& files)
{
    return std::any_of(files.begin(), files.end(),
                       [&message](const QString& file) { return message.contains(file); });
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
    m_scroll = new QScrollArea(this);
    m_scroll->setWidgetResizable(true);
    m_scroll->setFrameShape(QFrame::NoFrame);
    m_scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    m_scroll->setWidget(makeForm());
    m_plan = new PlanPanel(this);
    m_plan->setFixedWidth(272);
    row->addWidget(m_scroll, 1);
    row->addWidget(m_plan);
    m_planTimer.setSingleShot(true);
    m_planTimer.setInterval(planDelay);
    connect(&m_planTimer, &QTimer::timeout, this, &JobEditor::requestPlan);
    connect(m_plan->launchButton(), &QPushButton::clicked, this, &JobEditor::launch);
    connect(m_engine, &EngineLink::planned, this,
            [this](quint64 ticket, const QString& json, const QString& error) {
                if (ticket != m_ticket)
                    return; // a newer plan is on its way
                if (error.isEmpty()) {
                    m_modelRefusal.clear();
                    for (SettingsForm* form : forms())
                        form->check(); // what the engine had against a field holds no more
                    showErrors();
                    m_plan->showPlan(json);
                    requestTime(ticket);
                } else {
                    showWrong({error, nullptr}, false); // the user may be typing elsewhere: no scrolling
                }
            });
    connect(m_engine, &EngineLink::submitted, this, [this] {
        m_launching = false;
        m_plan->launchButton()->setEnabled(true);
    });
    chooseFamily(m_family->currentIndex());
    m_pristine = QString::fromStdString(job().dump());
}

std::array<SettingsForm*, 5> JobEditor::forms() const
{
    return {m_dataForm, m_familyForm, m_trainingForm, m_evaluationForm, m_analysisForm};
}

void JobEditor::chooseFamily(int index)
{
    if (!m_shownFamily.empty()) {
        FamilyEdits& left = m_edits[m_shownFamily];
        left.values = m_familyForm->all();
        for (const std::string& name : m_familyForm->typed()) {
            left.typed.insert(name);
            m_carried[name] = left.values[name];
        }
    }
    if (index < 0 || index >= static_cast<int>(m_families.size())) {
        m_shownFamily.clear();
        m_familyForm->setSchemas({});
        m_familyText->setText(
            m_families.empty() ? tr("No adapter family was found. Families lie in the plugins folder beside "
                                    "the program; RANKSCOPE_PLUGINS names others.")
                               : QString());
        return;
    }
    m_unknownFamily.clear();
    const protocol::FamilyManifest& family = m_families[static_cast<std::size_t>(index)];
    m_shownFamily = family.name;
    m_familyText->setText(QString::fromStdString(family.summary + "\n" + family.paper +
                                                 (family.link.empty() ? "" : ", " + family.link)));
    m_familyForm->setSchemas(family.settings);
    // As the user left this family, with what was typed under the same name in others since.
    const FamilyEdits& before = m_edits[family.name];
    Json settings = before.values;
    for (const auto& item : m_carried.items())
        if (const protocol::SettingSchema* schema = family.setting(item.key());
            schema != nullptr && !before.typed.contains(item.key()) &&
            protocol::FamilyManifest::check(*schema, item.value()))
            settings[item.key()] = item.value();
    if (!settings.empty())
        m_familyForm->setValues(settings);
    // What the family chosen before suggested goes with it, unless the user changed it.
    const std::set<std::string>& typed = m_trainingForm->typed();
    Json training = m_trainingForm->values();
    for (const auto& item : m_suggested.items()) {
        if (const auto now = training.find(item.key());
            now != training.end() && *now == item.value() && !typed.contains(item.key()))
            training.erase(now);
    }
    const auto steps = training.find("steps");
    const bool whole = steps != training.end() && steps->is_number_integer();
    m_suggested = family.suggestedTraining(whole ? steps->get<std::int64_t>() : 0);
    for (const auto& item : m_suggested.items())
        if (!typed.contains(item.key()))
            training[item.key()] = item.value();
    m_trainingForm->setValues(training);
    changed(parts::adapter);
}

bool JobEditor::takeFamily(const QString& name, const Json& settings)
{
    // A job is complete: what was typed before it came does not reach into it.
    m_edits.clear();
    m_shownFamily.clear();
    const int index = m_family->findData(name);
    m_carried = index < 0 ? settings : Json::object(); // for the family that is chosen instead
    m_unknownFamily = index < 0 ? name.toStdString() : std::string();
    m_unknownSettings = index < 0 ? settings : Json::object();
    m_family->setPlaceholderText(index < 0 ? tr("%1 (not installed)").arg(name) : QString());
    {
        const QSignalBlocker blocker(m_family);
        m_family->setCurrentIndex(index);
    }
    chooseFamily(index);
    return index >= 0;
}

void JobEditor::start()
{
    m_name->setFocus(Qt::OtherFocusReason);
    m_planTimer.start();
    showErrors();
}

QString JobEditor::modelProblem() const
{
    const QString model = m_model->currentText().trimmed();
    if (model.isEmpty())
        return tr("Choose a GGUF file or a Hugging Face folder");
    const QString place = QString::fromStdString(
        base::resolveModel(model.toStdString(), QDir::currentPath().toStdString()).string());
    return QFileInfo::exists(place) ? QString() : tr("%1 does not exist").arg(model);
}

QString JobEditor::familyProblem() const
{
    if (m_family->currentIndex() >= 0)
        return {};
    return m_unknownFamily.empty() ? tr("No adapter family is installed")
                                   : tr("The family %1 is not installed; choose another one")
                                         .arg(QString::fromStdString(m_unknownFamily));
}

JobEditor::Wrong JobEditor::firstWrong() const
{
    if (const QString model = modelProblem(); !model.isEmpty())
        return {model, m_model};
    if (const QString family = familyProblem(); !family.isEmpty())
        return {family, m_family};
    for (const SettingsForm* form : forms())
        if (SettingField* field = form->firstWrong())
            return {tr("Correct the field %1").arg(field->title()), field};
    const auto parsed = protocol::Job::fromJson(Json(job()));
    return {parsed ? QString() : QString::fromStdString(parsed.error().message), nullptr};
}

QString JobEditor::problem() const
{
    return firstWrong().text;
}

void JobEditor::showErrors()
{
    const QString model = m_model->currentText().trimmed();
    if (model != m_refusedModel)
        m_modelRefusal.clear();
    const QString wrongModel = modelProblem().isEmpty() ? m_modelRefusal : modelProblem();
    m_modelError->setText(wrongModel);
    m_modelForm->setRowVisible(m_modelError, !wrongModel.isEmpty());
    m_familyError->setText(familyProblem());
    m_familyRows->setRowVisible(m_familyError, !familyProblem().isEmpty());
    m_train->showError(missingOf(m_train->files()));
    m_test->showError(missingOf(m_test->files()));
    m_deviceError->hide();
}

void JobEditor::changed(const QString& part)
{
    if (m_plan == nullptr)
        return; // still being built
    m_launching = false;
    m_plan->launchButton()->setEnabled(true);
    // What a file said of a part is settled by the user's own word on it; of a file that said nothing usable,
    // by any.
    if (std::erase_if(m_fileProblems, [&part](const FileProblem& problem) {
            return problem.part == part || problem.part.isEmpty();
        }) > 0)
        showFileProblems();
    showErrors();
    m_planTimer.start();
}

void JobEditor::requestPlan()
{
    if (!isVisible())
        return;
    if (const Wrong wrong = firstWrong(); !wrong.text.isEmpty()) {
        ++m_ticket; // an answer on its way is out of date
        showWrong(wrong, false);
        return;
    }
    m_plan->showWaiting();
    m_engine->plan(++m_ticket, QString::fromStdString(job().dump()), QDir::currentPath());
}

void JobEditor::requestTime(quint64 ticket)
{
    auto planned = protocol::Job::fromJson(Json(job()));
    if (!planned || !planned->resolvePaths(QDir::currentPath().toStdString()))
        return; // a plan of other settings, of which a newer one is on its way
    auto runs = m_engine->runs();
    std::ranges::stable_sort(runs, std::greater(), &client::RunStatus::submittedUs); // newest first
    std::vector<std::filesystem::path> folders;
    for (const client::RunStatus& run : runs)
        folders.emplace_back(run.path);
    m_estimates.clear();
    m_estimates.start([this, ticket, planned = *planned, folders] {
        const auto time = estimateTime(planned, folders);
        QMetaObject::invokeMethod(
            this,
            [this, ticket, time] {
                if (ticket == m_ticket)
                    m_plan->showTime(time);
            },
            Qt::QueuedConnection);
    });
}

void JobEditor::launch()
{
    if (m_launching)
        return;
    showErrors();
    Wrong wrong = firstWrong();
    if (wrong.text.isEmpty() && m_train->files().isEmpty()) {
        wrong = {tr("Add at least one training file"), m_train};
        m_train->showError(wrong.text);
    }
    if (!wrong.text.isEmpty()) {
        showWrong(wrong, true);
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
    showWrong({message, nullptr}, true);
}

void JobEditor::showWrong(Wrong wrong, bool goThere)
{
    if (wrong.at == nullptr)
        wrong = placed(wrong.text);
    m_plan->showInvalid(wrong.text);
    if (wrong.at == nullptr)
        return;
    if (goThere)
        reveal(wrong.at);
    else
        unfold(wrong.at);
}

JobEditor::Wrong JobEditor::placed(const QString& message)
{
    QString said = message;
    const bool aboutSettings = said.startsWith(QLatin1String("adapter.settings of "));
    if (aboutSettings)
        said = said.section(QStringLiteral(": "), 1);
    // "training.steps is 0, ..." or "rank is 0, ...": the first word names the field.
    const QString name = said.section(QLatin1Char(' '), 0, 0);
    const QString last = name.section(QLatin1Char('.'), -1).section(QLatin1Char('['), 0, 0);
    const auto atFiles = [&said](FileListField* files) -> Wrong {
        files->showError(said);
        return {tr("Correct the data files"), files};
    };
    const QString model = m_model->currentText().trimmed();
    if (namesOne(said, m_train->files()) || name == QLatin1String("data.train"))
        return atFiles(m_train);
    if (namesOne(said, m_test->files()) || name == QLatin1String("data.test"))
        return atFiles(m_test);
    const bool aboutModel =
        !model.isEmpty() && said.contains(model) && !said.startsWith(QLatin1String("the adapter family "));
    if (!aboutSettings &&
        (aboutModel || name.startsWith(QLatin1String("model.")) ||
         said.startsWith(QLatin1String("the model ")) || said.startsWith(QLatin1String("the base model ")))) {
        m_refusedModel = model;
        m_modelRefusal = said;
        m_modelError->setText(said);
        m_modelForm->setRowVisible(m_modelError, true);
        return {tr("Choose another base model"), m_model};
    }
    if (name == QLatin1String("device")) {
        m_deviceError->setText(said);
        m_deviceError->show();
        return {tr("Choose another device"), m_device};
    }
    const SettingsForm* form = m_familyForm;
    for (const auto& [part, candidate] :
         {std::pair{parts::training, m_trainingForm}, std::pair{parts::data, m_dataForm},
          std::pair{parts::evaluation, m_evaluationForm}, std::pair{parts::analysis, m_analysisForm}})
        if (name.startsWith(part + QLatin1Char('.')))
            form = candidate;
    SettingField* field = form->field(last);
    if (field == nullptr)
        return {message, nullptr};
    field->showError(said);
    return {tr("Correct the field %1").arg(field->title()), field};
}

void JobEditor::unfold(QWidget* at)
{
    const auto* field = qobject_cast<SettingField*>(at);
    if (field == nullptr)
        return;
    for (SettingsForm* form : forms())
        if (form->isAncestorOf(at))
            form->unfold(field);
}

void JobEditor::reveal(QWidget* at)
{
    unfold(at);
    // What was unfolded gets its place with the next turn of the event loop.
    QMetaObject::invokeMethod(
        this,
        [this, at = QPointer<QWidget>(at)] {
            if (at == nullptr)
                return;
            m_scroll->ensureWidgetVisible(at, 0, 40);
            const auto* field = qobject_cast<SettingField*>(at);
            (field != nullptr ? field->editor() : at.data())->setFocus(Qt::OtherFocusReason);
        },
        Qt::QueuedConnection);
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
