// SPDX-License-Identifier: GPL-3.0-or-later
// The New run page: model, data, family, settings, training and device; the plan beside it.
#pragma once

#include "core/base/json.h"
#include "core/protocol/family_manifest.h"

#include <QThreadPool>
#include <QTimer>
#include <QWidget>

#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

class QComboBox;
class QFormLayout;
class QLabel;
class QLineEdit;
class QScrollArea;
class QToolButton;
class QVBoxLayout;

namespace rankscope::workbench
{

class EngineLink;
class FileListField;
class PlanPanel;
class SettingsForm;

/// The parts of a job, by their keys in the file.
namespace parts
{
inline const QString name = QStringLiteral("name");
inline const QString model = QStringLiteral("model");
inline const QString data = QStringLiteral("data");
inline const QString adapter = QStringLiteral("adapter");
inline const QString training = QStringLiteral("training");
inline const QString evaluation = QStringLiteral("evaluation");
inline const QString analysis = QStringLiteral("analysis");
inline const QString device = QStringLiteral("device");
} // namespace parts

class JobEditor : public QWidget
{
    Q_OBJECT

public:
    explicit JobEditor(EngineLink* engine, QWidget* parent = nullptr);

    /// The page comes to the front.
    void start();
    /// Takes a job file's text; relative paths start at `folder`. What the page cannot take is said above the
    /// fields until the user edits that part. False if there is no job in it or its family is not installed.
    bool setJobText(const QString& json, const QString& folder);
    bool openJob(const QString& file);
    /// The job as it stands in the fields.
    [[nodiscard]] base::OrderedJson job() const;
    /// The first thing that is wrong, or nothing.
    [[nodiscard]] QString problem() const;
    void launch();
    /// Is a job of this page on its way to the engine?
    [[nodiscard]] bool isLaunching() const { return m_launching; }
    /// What the user made of the page, for the next session; empty where nothing was changed.
    [[nodiscard]] QString draft() const;
    void restoreDraft(const QString& draft);
    /// Shows at its field, or beside the plan, why the engine refused the job.
    void showRefusal(const QString& message);

    [[nodiscard]] SettingsForm* familyForm() const { return m_familyForm; }
    [[nodiscard]] SettingsForm* trainingForm() const { return m_trainingForm; }
    [[nodiscard]] PlanPanel* planPanel() const { return m_plan; }
    [[nodiscard]] QLabel* fileError() const { return m_fileError; }
    [[nodiscard]] QLabel* modelError() const { return m_modelError; }
    [[nodiscard]] QComboBox* familyChoice() const { return m_family; }
    [[nodiscard]] QComboBox* modelField() const { return m_model; }
    [[nodiscard]] FileListField* trainFiles() const { return m_train; }
    [[nodiscard]] FileListField* testFiles() const { return m_test; }
    [[nodiscard]] QToolButton* undoButton() const { return m_undo; }

Q_SIGNALS:
    void closeRequested();

protected:
    void keyPressEvent(QKeyEvent* event) override;

private:
    /// Something that keeps the job from being launched: what is said beside the plan, and the widget to
    /// correct it at, which says it in full.
    struct Wrong {
        QString text;
        QWidget* at = nullptr;
    };
    /// Something of a job file that the page could not take.
    struct FileProblem {
        QString part; ///< empty: the file as a whole
        QString key;
        QString text; ///< empty: the key is not known
    };
    class FileReader;
    /// What the user did to a family's settings while another family is chosen.
    struct FamilyEdits {
        base::Json values = base::Json::object();
        std::set<std::string> typed;
    };

    // job_editor_page.cpp
    QWidget* makeForm();
    QVBoxLayout* addSection(QVBoxLayout* column, const QString& title);
    void makeModelSection(QVBoxLayout* column);
    void makeDataSection(QVBoxLayout* column);
    void makeFamilySection(QVBoxLayout* column);
    // job_editor_file.cpp
    bool takeJob(const QString& text, const QString& folder, const QString& source);
    void showFileProblems();
    void saveJob();
    /// Keeps what stands in the fields, for the undo of what comes over them.
    void keepForUndo();
    void undo();
    // job_editor.cpp
    [[nodiscard]] std::array<SettingsForm*, 5> forms() const;
    void chooseFamily(int index);
    bool takeFamily(const QString& name, const base::Json& settings);
    void changed(const QString& part);
    void requestPlan();
    /// How long what has been planned will take, from the runs there are.
    void requestTime(quint64 ticket);
    [[nodiscard]] QString modelProblem() const;
    [[nodiscard]] QString familyProblem() const;
    [[nodiscard]] Wrong firstWrong() const;
    void showErrors();
    void showWrong(Wrong wrong, bool goThere);
    /// Shows the engine's message at the field it speaks of, if it speaks of one.
    Wrong placed(const QString& message);
    void unfold(QWidget* at);
    void reveal(QWidget* at);

    EngineLink* m_engine;
    std::vector<protocol::FamilyManifest> m_families;
    base::Json m_suggested = base::Json::object(); ///< training settings of the family that is chosen
    std::string m_shownFamily;                     ///< empty: none
    std::map<std::string, FamilyEdits> m_edits;
    base::Json m_carried = base::Json::object(); ///< settings typed last, in whichever family
    std::string m_unknownFamily;                 ///< of a job file
    base::Json m_unknownSettings = base::Json::object();
    QString m_fileSource;
    std::vector<FileProblem> m_fileProblems;
    QString m_refusedModel; ///< the model that the engine refused, and why
    QString m_modelRefusal;
    QString m_pristine; ///< the job as the page begins
    QString m_before;   ///< the job before a file, a run or a preset came over it
    QToolButton* m_undo = nullptr;
    QScrollArea* m_scroll = nullptr;
    QLabel* m_fileError = nullptr;
    QLineEdit* m_name = nullptr;
    QComboBox* m_model = nullptr;
    QFormLayout* m_modelForm = nullptr;
    QLabel* m_modelError = nullptr;
    QComboBox* m_dtype = nullptr;
    FileListField* m_train = nullptr;
    FileListField* m_test = nullptr;
    SettingsForm* m_dataForm = nullptr;
    QComboBox* m_family = nullptr;
    QFormLayout* m_familyRows = nullptr;
    QLabel* m_familyError = nullptr;
    QLabel* m_familyText = nullptr;
    SettingsForm* m_familyForm = nullptr;
    SettingsForm* m_trainingForm = nullptr;
    SettingsForm* m_evaluationForm = nullptr;
    SettingsForm* m_analysisForm = nullptr;
    QComboBox* m_device = nullptr;
    QLabel* m_deviceError = nullptr;
    PlanPanel* m_plan = nullptr;
    QTimer m_planTimer;
    quint64 m_ticket = 0;
    bool m_launching = false;
    QThreadPool m_estimates; ///< the last member: what it still runs ends before the others go
};

} // namespace rankscope::workbench
